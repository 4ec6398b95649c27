"""What executes programs: the interface, and one file per kind of backend."""
