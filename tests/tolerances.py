"""How close is equal. Every tolerance of a comparison with PyTorch or between devices stands here and nowhere else.

A tolerance is never loosened to make a test pass: first the operation that differs is found.
"""

FLOAT64_OPERATION = 1e-10
"""float64, one operation or layer, forward or gradient: largest error over the largest reference value."""
FLOAT64_FORWARD = 1e-10
"""float64, a whole network's logits and running statistics against PyTorch in double, batches of at least 8."""
FLOAT64_GRADIENT = 1e-9
"""float64, each leaf's gradient: norm of the error over the norm of the leaf's gradient.

A leaf whose true gradient is zero (a bias before a batch norm) is compared with the norm of the whole gradient.
"""
FLOAT64_ADAM_STEPS = 1e-7
"""float64, parameters after 20 steps of Adam. PyTorch's own two memory layouts differ by 7e-11 in the worst leaf."""
FLOAT32_OPERATION = 1e-5
"""float32, one convolution, forward or gradient, against float64: largest error over the largest reference value."""
BFLOAT16_OPERATION = 0.01
"""bfloat16, which rounds by at most 1/256, one convolution against float32: largest error over the largest value."""
FLOAT32_LOGITS = 1e-4
"""float32, logits: largest error over the largest reference logit."""
FLOAT32_FIRST_LOSS = 1e-4
"""float32, loss of the first step, relative. Later steps are not asserted: PyTorch's own layouts drift by 3e-3."""
FLOAT32_GRADIENT_FACTOR = 2.0
"""float32, each leaf's gradient: norm of the error against the float64 gradient over PyTorch's own in that leaf.

PyTorch's own is the larger of the errors of its two memory layouts. Of the tiny nets both are root mean squares over
three draws: in a single one a leaf's rounding errors may happen to cancel. A leaf whose true gradient is zero is held
against PyTorch's error in the whole gradient.
"""
FLOAT32_VARIANCE = 1e-5
"""float32, a batch's variance against the one computed in float64, relative."""
LEARNING_RATE = 1e-15
"""Learning rates of the plateau schedule, relative: they are reduced by the same multiplications."""
PLANNED_RATE = 1e-12
"""Learning rates that follow from the step, over the highest: PyTorch's come from one step to the next."""
FLOAT64_LOSS, FLOAT64_LOSS_GRADIENT, FLOAT64_LOSS_ZERO = 1e-13, 1e-12, 1e-15
"""float64, cross-entropy of logits against PyTorch's and its gradient, relative; the last absolute, for zeros."""
FLOAT64_ADAM = 1e-12
"""float64, parameters along 20 steps of Adam on given gradients against PyTorch's: relative, or absolute."""
FLOAT64_DEVICES = 1e-9
"""float64, parameters, statistics and sums on several devices or with padded rows against one device: absolute."""
FLOAT64_PADDING = 1e-12
"""float64, statistics and sums with padded rows against none: absolute."""
FLOAT64_PROCESSES = 1e-10
"""float64, metrics of a run in two processes against one: relative."""
FLOAT32_PROBABILITIES = 2e-4
"""float32, probabilities of 100 classes of the full-size net on images against PyTorch's: absolute."""
FLOAT32_PROBABILITIES_OF_1000 = 1e-3
"""float32, probabilities of 1000 classes of torchvision's other nets against PyTorch's: over the largest."""
FLOAT32_PROBABILITIES_OF_TINY = 1e-5
"""float32, probabilities of the tiny net on small images against PyTorch's: absolute."""
