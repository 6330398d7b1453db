"""The golden generator: runs transformers on tiny Gemma 4 checkpoints and writes down what it computes.

Run from golden/ as `python -m generate VERB`; `--help` lists the verbs. Nothing here is imported by the C++ program,
and nothing here re-implements Gemma 4: every number comes out of transformers' own modules.
"""
