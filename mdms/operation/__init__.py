"""What keeps an MDMS running: health, metrics, looking at a configuration and at a living installation, pruning."""
