"""What a run lets others measure while it grows: names, units, help and labels, as one table.

Pure: numbers come in as values, and go to a `Meter`, which is Ray's exporter
(`pool/ray_metrics.py`) or nobody. Every driver counts its own work alone, so that sums over drivers
are true. Nothing here is needed to know how far a run is: that is in its ledger. Sees the schemas
and nothing else of ours.

To add a metric: a line in `table.py`, the place that counts it in `tell.py`, a row in
docs/metrics.md, and a panel of docker/grafana/arborist.json where people should see it.
`tests/unit/metrics` holds that all of them name the same.
"""
