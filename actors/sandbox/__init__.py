"""Runs code that models wrote, apart from everything else.

    Program --SandboxHost--> runs.run --one of BACKENDS--> guest.start: program | tests --> Verdict

What a backend keeps a program from is in `backends`; why a verdict can't be faked, in
`guest.tester`; what is tried before any of it is used, in `checks`.
"""
