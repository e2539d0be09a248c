"""What runs inside the sandbox, around a program: the standard library only, since nothing else is
there. Started by `start.py`; the other side is `actors.sandbox.runs`.
"""
