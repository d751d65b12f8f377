"""Fits y = 3x + 2 by gradient descent, with the standard library."""

import argparse


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--steps", type=int, default=5)
    steps = parser.parse_args().steps
    points = [(x / 10, 3 * x / 10 + 2) for x in range(-10, 11)]
    slope = intercept = 0.0
    for step in range(1, steps + 1):
        errors = [(slope * x + intercept - y, x) for x, y in points]
        slope -= 0.9 * 2 * sum(error * x for error, x in errors) / len(points)
        intercept -= 0.4 * 2 * sum(error for error, _ in errors) / len(points)
        loss = sum(error * error for error, _ in errors) / len(points)
        print(f"step {step}/{steps} loss {loss:.4f} y = {slope:.2f}x + {intercept:.2f}", flush=True)


if __name__ == "__main__":
    main()
