"""Four CPU devices for every test, so that one, two and four can be compared; nothing else is set."""

import jax

jax.config.update("jax_num_cpu_devices", 4)
