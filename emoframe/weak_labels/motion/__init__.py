"""What keypoints do, as events with begin and end: signals in body units, thresholds in one YAML.

In the order of the data: `track` puts the points on a clock, `head` finds the face's own axes,
`face`, `hands` and `body` measure signals, `events` finds where one holds, `describe` says it.
"""
