"""What holds for every test: no judgement by seconds, for the machines that run them are shared and noisy."""

from hypothesis import HealthCheck, settings

settings.register_profile("hushmeter", deadline=None, suppress_health_check=[HealthCheck.too_slow], print_blob=True)
settings.load_profile("hushmeter")
