"""From a mixture to a model: losses, the trainer, checkpoints, what each of them was made of.

`train` is the way in. What loads torch and TRL is imported once there is something to train.
"""
