"""HTTP, one more client of the service: OpenAI's API, SGLang's own, health, metrics. Nothing but
settings.py is imported unless `branchline serve --http` asks for it."""
