"""What a board supplies: one file per board, the only place that touches sockets, files and tick counters."""
