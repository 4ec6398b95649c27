"""The front process: ZeroMQ ROUTER, tokenizer, detokenizer, supervision of the engine."""
