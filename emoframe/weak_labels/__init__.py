"""Weak labels: a vision-language model's answers about each video, asked once and kept.

In the order of the data: `codebook` and `prompt` make the question, `clips` renders what is shown,
`price` and `plan` say what it costs, `ask` puts it, `answer` parses what comes back, `store` keeps
it, `read` hands it to learning.
"""
