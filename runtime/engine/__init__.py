"""One forward step and the loop around it: inputs, model, sampling, events."""
