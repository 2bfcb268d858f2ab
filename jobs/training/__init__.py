"""What `arborist sft` is made of: reading its spec, processes, progress, the report."""
