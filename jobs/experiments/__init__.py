"""What `arborist experiment` is made of: cells in processes of their own, resumed one by one."""
