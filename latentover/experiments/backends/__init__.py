"""Ways to have tasks done: in this process, interleaved on one GPU, in processes of their own, on a Ray cluster."""
