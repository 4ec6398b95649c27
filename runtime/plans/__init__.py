"""Plans: whole programs that the runtime runs by itself, call after call. Used by server/."""
