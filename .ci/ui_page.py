"""Checks the status page in a browser, in several forms: texts, width, accessibility, drawings. Takes a picture of each."""

import argparse
import pathlib
import sys

from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Error, expect, sync_playwright

FORMS = {
    "desktop": {"viewport": {"width": 1280, "height": 900}, "color_scheme": "light"},
    "phone": {"viewport": {"width": 375, "height": 812}, "color_scheme": "light", "is_mobile": True},
    "dark": {"viewport": {"width": 1280, "height": 900}, "color_scheme": "dark"},
    "phone-dark": {"viewport": {"width": 375, "height": 812}, "color_scheme": "dark", "is_mobile": True},
}
PATIENCE = 40_000  # milliseconds for a text to appear
# A status page reloads itself on purpose.
RULES = {"rules": {"meta-refresh": {"enabled": False}}}


def look(page, form, arguments):
    """The problems of the page in one form."""
    problems = []
    page.on("console", lambda message: problems.append(f"the console: {message.text}"))
    page.goto(arguments.url)
    body = page.locator("body")
    for text in arguments.texts:  # the page reloads itself, so a text may appear late
        try:
            if text.startswith("!"):
                expect(body).not_to_contain_text(text[1:], timeout=PATIENCE)
            else:
                expect(body).to_contain_text(text, timeout=PATIENCE)
        except AssertionError:
            problems.append(f"text: {text}")
    content = page.evaluate("document.documentElement.scrollWidth")
    if content > page.viewport_size["width"]:
        problems.append(f"the content is {content} pixels wide")
    if found := Axe().run(page, options=RULES).response["violations"]:
        problems += [f"{rule['id']}: {node['html'][:80]}" for rule in found for node in rule["nodes"]]
    drawings = [drawing.bounding_box() for drawing in page.locator("svg").all()]
    if len(drawings) < 2 or any(box is None or box["width"] < 200 or box["height"] < 10 for box in drawings):
        problems.append(f"the drawings are not there: {drawings}")
    if page.locator("script, img, iframe, object").count():
        problems.append("there is a script, an image or a frame")
    page.screenshot(path=pathlib.Path(arguments.pictures) / f"{arguments.state}-{form}.png", full_page=True)
    return [f"{form}: {problem}" for problem in problems]


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    for name in ("browser", "url", "pictures"):
        parser.add_argument(f"--{name}", required=True)
    parser.add_argument("state")
    parser.add_argument("texts", nargs="+", help="a text on the page; with a leading !, one that must not be there")
    arguments = parser.parse_args()
    problems = []
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=arguments.browser, chromium_sandbox=False)
        for form, context in FORMS.items():
            problems += look(browser.new_context(**context).new_page(), form, arguments)
        browser.close()
    if problems:
        sys.exit("\n".join([f"{arguments.state}: {len(problems)} problems", *(f"    {problem}" for problem in problems)]))
    print(f"ok: {arguments.state}: {len(arguments.texts)} texts, {len(FORMS)} forms")


try:
    main()
except Error as error:
    sys.exit(f"ui_page: {error.message}")
