"""One thread for every test: the networks here are tiny, and threads that wait for each other only cost."""

import torch

torch.set_num_threads(1)
