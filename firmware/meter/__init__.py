"""What a meter does, on any board: nothing here imports a machine, a network or a file system."""
