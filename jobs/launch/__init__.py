"""What `arborist submit` is made of: what travels, what each target makes of it, sending.

What is rendered is a value (`ray_job`, `rayjob`, `sbatch_script`), made of the templates in
`jobs/templates/`; who sends it (`ray_client`, `kubectl`, `sbatch`) decides little. To add a target:
one module that renders, one that sends, a line in `jobs/submit.py`, a section of
`schemas/launch_spec.py`.
"""
