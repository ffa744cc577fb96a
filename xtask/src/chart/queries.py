"""Parses every query of Prometheus in rendered resources: those of alerts and those of dashboards."""

import json
import sys

import promql_parser
import yaml


def queries(resource):
    if resource["kind"] == "PrometheusRule":
        for group in resource["spec"]["groups"]:
            yield from ((rule["alert"], rule["expr"]) for rule in group["rules"])
    for name, text in (resource.get("data") or {}).items():
        if name.endswith(".json"):
            for panel in json.loads(text)["panels"]:
                targets = panel.get("targets", [])
                yield from ((panel["title"], as_sent(target["expr"])) for target in targets)


def as_sent(query):
    """Grafana puts its variables in before it asks."""
    return query.replace("$__rate_interval", "1m")


count = 0
with open(sys.argv[1]) as file:
    for resource in filter(None, yaml.safe_load_all(file)):
        for name, query in queries(resource):
            try:
                promql_parser.parse(query)
            except ValueError as error:
                sys.exit(f"{name}: {query}: {error}")
            count += 1
if count < 60:
    sys.exit(f"there are only {count} queries")
