#!/usr/bin/env python3
"""The dashboard of the loader, from its state at the top to its size at the bottom. Writes the file that Grafana is
provisioned with, dashboards/contract-data-loader.json: change this script and run it. With --check it only compares.

In the expressions, $loader is the selector of job and instance."""

import json
import pathlib
import sys

FILE = pathlib.Path(__file__).resolve().parent / "dashboards/contract-data-loader.json"
SOURCE = {"type": "prometheus", "uid": "${datasource}"}
SELECTOR = 'job=~"$job", instance=~"$instance"'
STEPS = ["drain", "stage", "load", "fold"]
REACHED = [{"type": "value", "options": {"0": {"text": "unreachable", "index": 0}, "1": {"text": "answers", "index": 1}}}]


def thresholds(first, *more):
    """The first colour, and the value from which each further colour applies."""
    steps = [{"color": first, "value": None}] + [{"color": colour, "value": value} for value, colour in more]
    return {"mode": "absolute", "steps": steps}


BAD_BELOW_ONE = thresholds("red", (1, "green"))
FACT = thresholds("blue")


def quantile(metric):
    return f"histogram_quantile(0.95, sum by (job, instance, le) (rate({metric}_bucket{{$loader}}[$__rate_interval])))"


def mean(metric):
    return f"rate({metric}_sum{{$loader}}[$__rate_interval]) / rate({metric}_count{{$loader}}[$__rate_interval])"


def panel(kind, title, description, expressions, defaults, options, size, instant=False, shape="time_series"):
    """A panel; expressions are pairs of PromQL and legend."""
    targets = [{"refId": chr(ord("A") + i), "datasource": SOURCE, "expr": expression.replace("$loader", SELECTOR),
                "legendFormat": legend, "format": shape, "instant": instant, "range": not instant}
               for i, (expression, legend) in enumerate(expressions)]
    return {"type": kind, "title": title, "description": description, "datasource": SOURCE, "size": size,
            "targets": targets, "fieldConfig": {"defaults": defaults, "overrides": []}, "options": options}


def number(title, description, expression, unit, colours, width=3, **more):
    """One number, now."""
    options = {"colorMode": "background", "graphMode": "none", "justifyMode": "auto", "orientation": "auto",
               "textMode": more.pop("text", "value"), "reduceOptions": {"calcs": ["lastNotNull"], "fields": "", "values": False}}
    legend = more.pop("legend", "")
    defaults = {"unit": unit, "thresholds": colours, "color": {"mode": "thresholds"}, "decimals": 0, **more}
    return panel("stat", title, description, [(expression, legend)], defaults, options, (width, 4), instant=True)


def lines(title, description, unit, *expressions, width=8, line=None, stacked=False, signed=False):
    """Lines over time. Below, a table of them with the last value and the highest."""
    custom = {"drawStyle": "line", "lineWidth": 1, "fillOpacity": 30 if stacked else 10, "showPoints": "auto",
              "stacking": {"mode": "normal" if stacked else "none", "group": "A"},
              "thresholdsStyle": {"mode": "line" if line else "off"}}
    defaults = {"unit": unit, "custom": custom, "color": {"mode": "palette-classic"}}
    if not signed:
        defaults["min"] = 0
    if line:
        defaults["thresholds"] = thresholds("transparent", *line)
    options = {"legend": {"displayMode": "table", "placement": "bottom", "showLegend": True, "calcs": ["lastNotNull", "max"]},
               "tooltip": {"mode": "multi", "sort": "desc"}}
    return panel("timeseries", title, description, expressions, defaults, options, (width, 8))


def reachability():
    defaults = {"unit": "none", "custom": {"fillOpacity": 70, "lineWidth": 0}, "color": {"mode": "thresholds"},
                "thresholds": BAD_BELOW_ONE, "mappings": REACHED}
    options = {"alignValue": "left", "mergeValues": True, "rowHeight": 0.8, "showValue": "never",
               "legend": {"displayMode": "list", "placement": "bottom", "showLegend": True, "calcs": []},
               "tooltip": {"mode": "single", "sort": "none"}}
    return panel("state-timeline", "Unreachable", "When the loader, its database or its source did not answer.",
                 [("up{$loader}", "loader, {{instance}}"),
                  ("contract_data_loader_database_reachable{$loader}", "database, {{instance}}"),
                  ("contract_data_loader_source_reachable{$loader}", "source, {{instance}}")], defaults, options, (8, 8))


def load_durations():
    options = {"calculate": False, "cellGap": 1, "cellValues": {"unit": "none", "decimals": 0},
               "color": {"mode": "scheme", "scheme": "Oranges", "steps": 32, "exponent": 0.5, "scale": "exponential",
                         "fill": "dark-orange", "reverse": False},
               "exemplars": {"color": "rgba(255,0,255,0.7)"}, "filterValues": {"le": 1e-9}, "legend": {"show": True},
               "rowsFrame": {"layout": "auto"}, "tooltip": {"mode": "single", "yHistogram": False, "showColorScale": False},
               "yAxis": {"axisPlacement": "left", "unit": "s", "reverse": False}, "showValue": "never"}
    bucket = "contract_data_loader_load_duration_seconds_bucket{$loader}"
    return panel("heatmap", "Loads by duration", "Number of windows by time from claim to commit.",
                 [(f"sum by (le) (increase({bucket}[$__rate_interval]))", "{{le}}")],
                 {"unit": "s", "custom": {"scaleDistribution": {"type": "linear"}}}, options, (12, 8), shape="heatmap")


ROWS = {
    "State": [
        number("Loader", "Whether Prometheus reaches the loader.", "min(up{$loader})", "none", BAD_BELOW_ONE, mappings=REACHED),
        number("Database", "Whether PostgreSQL answers the loader.",
               "min(contract_data_loader_database_reachable{$loader})", "none", BAD_BELOW_ONE, mappings=REACHED),
        number("Source", "Whether the Flight source answers the loader.",
               "min(contract_data_loader_source_reachable{$loader})", "none", BAD_BELOW_ONE, mappings=REACHED),
        number("Last success", "Time since the last successful run. A long catch-up is one run.",
               "max(time() - contract_data_loader_last_success_timestamp_seconds{$loader})", "s",
               thresholds("green", (300, "yellow"), (600, "red")), noValue="never"),
        number("Alerts", "Firing alerts of alerts.yml.",
               'count(ALERTS{alertname=~"ContractDataLoader.*", alertstate="firing"}) or vector(0)', "none",
               thresholds("green", (1, "red"))),
        number("Gaps", "Ranges of missing ledgers between loaded windows.", "max(contract_data_loader_gaps{$loader})", "none",
               thresholds("green", (1, "orange"))),
        number("Failed windows", "Windows that failed and were skipped.",
               "max(contract_data_loader_failed_windows{$loader})", "none", thresholds("green", (1, "orange"))),
        number("Running", "The version and its uptime.",
               "(time() - process_start_time_seconds{$loader})"
               " * on (job, instance) group_left (version) contract_data_loader_build_info{$loader}",
               "s", FACT, legend="{{version}}", text="value_and_name"),
    ],
    "Lag": [
        lines("Lag", "Age of the newest row. Above the line, an alert fires if the source has newer ledgers.", "s",
              ("contract_data_loader_lag_seconds{$loader}", "{{instance}}"), line=[(900, "red")]),
        lines("Ledgers behind", "From the last loaded ledger to the tip of the source. Less than a window is normal.", "none",
              ("contract_data_loader_lag_ledgers{$loader}", "{{instance}}")),
        lines("Ledgers per second", "If loaded is above source, the loader catches up; below, it falls behind.", "none",
              ("deriv(contract_data_loader_last_ledger{$loader}[5m])", "loaded, {{instance}}"),
              ("deriv(contract_data_loader_tip_ledger{$loader}[5m])", "source, {{instance}}"), signed=True),
        number("First ledger", "The first loaded ledger.", "min(contract_data_loader_first_ledger{$loader})", "none", FACT, 6),
        number("Last ledger", "The last loaded ledger.", "max(contract_data_loader_last_ledger{$loader})", "none", FACT, 6),
        number("Tip of the source", "Its newest ledger.", "max(contract_data_loader_tip_ledger{$loader})", "none", FACT, 6),
        number("Caught up in", "At the rate of the last 15 minutes; 0 when fewer than 64 ledgers are missing.",
               "max(contract_data_loader_lag_ledgers{$loader} < bool 64 == 1) * 0 or max(contract_data_loader_lag_ledgers{$loader}"
               " / (deriv(contract_data_loader_last_ledger{$loader}[15m]) - deriv(contract_data_loader_tip_ledger{$loader}[15m]) > 0))",
               "s", FACT, 6, noValue="it falls behind"),
    ],
    "Speed": [
        lines("Rows per second", "Rows that the source sent, and rows that PostgreSQL committed.", "rowsps",
              ("rate(postgresql_consumer_records_received_total{$loader}[$__rate_interval])", "received, {{instance}}"),
              ("rate(postgresql_consumer_records_inserted_total{$loader}[$__rate_interval])", "committed, {{instance}}")),
        lines("Windows per minute", "Windows completed, including those without rows, and windows under way.", "none",
              ("rate(contract_data_loader_windows_total{$loader}[$__rate_interval]) * 60", "completed, {{instance}}"),
              ("contract_data_loader_windows_under_way{$loader}", "under way, {{instance}}")),
        lines("Rows per window", "The mean, and the 95th percentile.", "short",
              (mean("postgresql_consumer_batch_size"), "mean, {{instance}}"),
              (quantile("postgresql_consumer_batch_size"), "p95, {{instance}}")),
    ],
    "Time per step": [
        lines("Share of the time", "How busy each step is; speed up the highest first. Drain waits for the source, stage"
              " writes the object, load goes from claim to commit, fold brings current_states up to date.", "percentunit",
              *((f"rate(contract_data_loader_{step}_duration_seconds_sum{{$loader}}[$__rate_interval])", step + ", {{instance}}")
                for step in STEPS), stacked=True),
        lines("Mean time of a step", "For one window; for the fold, one pass.", "s",
              *((mean(f"contract_data_loader_{step}_duration_seconds"), step + ", {{instance}}") for step in STEPS)),
        lines("95th percentile of a step", "An alert fires for a load above the line.", "s",
              *((quantile(f"contract_data_loader_{step}_duration_seconds"), step + ", {{instance}}") for step in STEPS),
              line=[(30, "red")]),
        load_durations(),
        lines("COPY in the load", "Only COPY; the rest of a load is the claim, the checks and the commit.", "s",
              (mean("postgresql_consumer_batch_insert_duration_seconds"), "mean, {{instance}}"),
              (quantile("postgresql_consumer_batch_insert_duration_seconds"), "p95, {{instance}}"), width=12),
    ],
    "Failures": [
        lines("Failures per minute", "Failures of a step, including those that a retry cured.", "none",
              ("rate(postgresql_consumer_errors_total{$loader}[$__rate_interval]) * 60", "{{instance}}")),
        reachability(),
        lines("Pending work", "Gaps, failed windows, windows that wait for the fold or the archive. Should return to 0 soon.", "none",
              ("contract_data_loader_gaps{$loader}", "gaps, {{instance}}"),
              ("contract_data_loader_failed_windows{$loader}", "failed windows, {{instance}}"),
              ("contract_data_loader_unfolded_windows{$loader}", "not folded, {{instance}}"),
              ("contract_data_loader_unarchived_windows{$loader}", "not archived, {{instance}}")),
    ],
    "Size": [
        lines("Tables", "With their indexes; the partitions of entries are summed.", "bytes",
              ("contract_data_loader_table_bytes{$loader}", "{{table}}, {{instance}}"), width=12, stacked=True),
        lines("Growth per day", "At the rate of the last six hours, all tables. Above the line, an alert fires.", "bytes",
              ("sum by (job, instance) (deriv(contract_data_loader_table_bytes{$loader}[6h])) * 86400", "{{instance}}"),
              width=12, line=[(20e9, "red")], signed=True),
        lines("Memory of the loader", "Resident memory. Above the line, 85 % of the limit in infra/, an alert fires.", "bytes",
              ("process_resident_memory_bytes{$loader}", "{{instance}}"), line=[(0.85 * 512 * 1024 * 1024, "red")]),
        lines("Processor time of the loader", "1 is one core.", "none",
              ("rate(process_cpu_seconds_total{$loader}[$__rate_interval])", "{{instance}}")),
        lines("Open files of the loader", "Connections count as files.", "none",
              ("process_open_fds{$loader}", "{{instance}}")),
    ],
}


def placed(rows):
    """The panels with their ids and places: from left to right, 24 wide."""
    top = identity = 0
    for title, panels in rows.items():
        identity += 1
        yield {"id": identity, "type": "row", "title": title, "collapsed": False, "panels": [],
               "gridPos": {"x": 0, "y": top, "w": 24, "h": 1}}
        top, left = top + 1, 0
        for one in panels:
            width, height = one.pop("size")
            identity += 1
            yield {"id": identity, **one, "gridPos": {"x": left, "y": top, "w": width, "h": height}}
            left += width
            if left >= 24:
                top, left = top + height, 0


def variable(name, label, query):
    return {"name": name, "label": label, "type": "query", "datasource": SOURCE, "query": {"query": query, "refId": name},
            "refresh": 2, "sort": 1, "multi": True, "includeAll": True, "allValue": ".*",
            "current": {"text": "All", "value": "$__all"}}


def dashboard():
    return {
        "uid": "contract-data-loader",
        "title": "Contract data loader",
        "description": "ingestctl serve, from its state at the top to its size at the bottom. Runbook: docs/operations.md.",
        "tags": ["contract-data"], "schemaVersion": 41, "version": 1, "editable": True, "graphTooltip": 1, "timezone": "utc",
        "refresh": "30s", "time": {"from": "now-3h", "to": "now"},
        "annotations": {"list": [
            {"name": "Starts", "datasource": SOURCE, "enable": True, "iconColor": "orange",
             "expr": f"changes(process_start_time_seconds{{{SELECTOR}}}[$__interval]) > 0"}]},
        "templating": {"list": [
            {"name": "datasource", "label": "Prometheus", "type": "datasource", "query": "prometheus"},
            variable("job", "Job", "label_values(contract_data_loader_build_info, job)"),
            variable("instance", "Instance", 'label_values(contract_data_loader_build_info{job=~"$job"}, instance)')]},
        "panels": list(placed(ROWS)),
    }


def main():
    content = json.dumps(dashboard(), indent=2, ensure_ascii=False) + "\n"
    if "--check" not in sys.argv:
        FILE.write_text(content)
    elif FILE.read_text() != content:
        sys.exit(f"{FILE.name} differs from the output of infra/grafana/dashboard.py: run the script, or move the change into it")


main()
