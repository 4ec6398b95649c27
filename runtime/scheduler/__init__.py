"""What runs next: sequences, the waiting queue, step batches, retraction."""
