"""What experiments share: data, networks, training runs, statistics, tables, figures."""
