from hypothesis import settings

settings.register_profile(
    "latentover", deadline=None, max_examples=60, derandomize=True
)  # a busy machine is no failure
settings.load_profile("latentover")
