"""The embedded model: its files, the corpus it learns from, its training and its evaluation."""
