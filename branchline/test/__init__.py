"""What SGLang's benchmark programs import from a package of this name."""
