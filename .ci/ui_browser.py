#!/usr/bin/env python3
"""Looks at a page with Chromium, through its driver: texts, no horizontal scroll, contrast, pictures, no complaints."""

import argparse
import base64
import json
import pathlib
import subprocess
import sys
import time
import urllib.request

FORMS = {  # name: width, height, scheme
    "desktop": (1280, 900, "light"),
    "phone": (375, 812, "light"),
    "dark": (1280, 900, "dark"),
    "phone-dark": (375, 812, "dark"),
}
PATIENCE = 40  # seconds for a text to appear

# The texts whose contrast with what is behind them is less than 4.5.
FAINT = """
const rgb = (text) => text.match(/[\\d.]+/g).map(Number);
const luminance = ([r, g, b]) => [r, g, b].map((c) => c / 255)
    .map((c) => c <= 0.03928 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4)
    .reduce((sum, c, i) => sum + c * [0.2126, 0.7152, 0.0722][i], 0);
const ground = (element) => {
    for (let e = element; e; e = e.parentElement) {
        const colour = rgb(getComputedStyle(e).backgroundColor);
        if (colour.length === 3 || colour[3] === 1) return colour;
    }
    return [255, 255, 255];
};
const faint = [];
for (const element of document.querySelectorAll('body *')) {
    const words = [...element.childNodes].some((n) => n.nodeType === 3 && n.textContent.trim());
    if (!words || element.closest('svg') || !element.getClientRects().length) continue;
    const [a, b] = [luminance(rgb(getComputedStyle(element).color)), luminance(ground(element))];
    const contrast = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
    if (contrast < 4.5) faint.push(`${contrast.toFixed(2)}: ${element.textContent.slice(0, 40)}`);
}
return faint;
"""

WIDE = "return [document.documentElement.scrollWidth, window.innerWidth]"

DRAWN = """
return [...document.querySelectorAll('svg')].map((svg) => {
    const box = svg.getBoundingClientRect();
    return [box.width, box.height, svg.getAttribute('role') === 'img' && !!svg.querySelector('title')];
});
"""


class Driver:
    """A session of chromedriver, by its HTTP interface."""

    def __init__(self, program, browser):
        self.process = subprocess.Popen([program, "--port=0"], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        for line in self.process.stdout:
            if "started successfully on port" in line:
                self.base = f"http://127.0.0.1:{line.rsplit(' ', 1)[1].strip().rstrip('.')}"
                break
        else:
            sys.exit("chromedriver did not start")
        options = {"binary": browser, "args": ["--headless=new", "--no-sandbox", "--disable-gpu", "--hide-scrollbars",
                                               "--disable-dev-shm-usage"]}
        wanted = {"goog:chromeOptions": options, "goog:loggingPrefs": {"browser": "ALL"}}
        answer = self.post("/session", {"capabilities": {"alwaysMatch": wanted}})
        self.base += f"/session/{answer['sessionId']}"

    def post(self, path, body):
        request = urllib.request.Request(self.base + path, json.dumps(body).encode(), {"content-type": "application/json"})
        with urllib.request.urlopen(request, timeout=60) as answer:
            return json.load(answer)["value"]

    def run(self, script):
        return self.post("/execute/sync", {"script": script, "args": []})

    def command(self, name, **parameters):
        return self.post("/goog/cdp/execute", {"cmd": name, "params": parameters})

    def end(self):
        try:
            urllib.request.urlopen(urllib.request.Request(self.base, method="DELETE"), timeout=20).close()
        finally:
            self.process.terminate()
            self.process.wait()


def missing(text, wanted):
    """The texts that are not as they should be."""
    return [w for w in wanted if (w[1:] in text if w.startswith("!") else w not in text)]


def look(driver, arguments):
    problems = []
    deadline = time.monotonic() + PATIENCE
    while True:  # the page is as fresh as the last look of the server: it is loaded until it says so
        driver.post("/url", {"url": arguments.url})
        text = driver.run("return document.body.textContent")
        lacking = missing(text, arguments.texts)
        if not lacking or time.monotonic() > deadline:
            break
        time.sleep(0.5)
    problems += [f"text: {text}" for text in lacking]
    for form, (width, height, scheme) in FORMS.items():
        driver.command("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1,
                       mobile=form.startswith("phone"))
        driver.command("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}])
        driver.post("/url", {"url": arguments.url})
        content, window = driver.run(WIDE)
        if content > window or window != width:
            problems.append(f"{form}: the content is {content} pixels wide, the window {window}")
        problems += [f"{form}: contrast {faint}" for faint in driver.run(FAINT)]
        for box in driver.run(DRAWN):
            if box[0] < 200 or box[1] < 10 or not box[2]:
                problems.append(f"{form}: a drawing without size, role or title: {box}")
        if not driver.run("return document.querySelectorAll('svg').length >= 2"):
            problems.append(f"{form}: the drawings are not there")
        if driver.run("return document.querySelectorAll('script, img, iframe, object').length"):
            problems.append(f"{form}: there is a script, an image or a frame")
        picture = driver.command("Page.captureScreenshot", captureBeyondViewport=True, format="png")
        (pathlib.Path(arguments.pictures) / f"{arguments.state}-{form}.png").write_bytes(base64.b64decode(picture["data"]))
    problems += [f"the console: {entry['message']}" for entry in driver.post("/se/log", {"type": "browser"})]
    return problems


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    for name in ("browser", "driver", "url", "pictures"):
        parser.add_argument(f"--{name}", required=True)
    parser.add_argument("state")
    parser.add_argument("texts", nargs="+")
    arguments = parser.parse_args()
    driver = Driver(arguments.driver, arguments.browser)
    try:
        problems = look(driver, arguments)
    finally:
        driver.end()
    if problems:
        sys.exit("\n".join([f"{arguments.state}: {len(problems)} problems", *(f"    {p}" for p in problems)]))
    print(f"ok: {arguments.state}: {len(arguments.texts)} texts, {len(FORMS)} forms")


main()
