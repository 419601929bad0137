"""Engines that run networks: torch, and OpenVINO on a CPU."""
