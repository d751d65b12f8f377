"""kubectl sky: run SkyPilot task files on Kubernetes, with nothing installed in the cluster."""

__version__ = "0.1.0"
