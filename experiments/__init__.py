"""The laboratory: what is said of normalization, as experiments to run. `python -m experiments` lists them.

A module in this folder is an experiment if it has a `SUMMARY` (one line), `add_arguments(parser)` and
`run(arguments)`. What experiments share is in `common`.
"""
