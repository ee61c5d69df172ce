"""The course's solutions as its page has them, mistakes planted into their text, and other ways to write the same."""

import re
from pathlib import Path

from pg_theano.course import child
from pg_theano.course.exercise import cases_of
from pg_theano.course.judging import verdict
from pg_theano.course.listed import EXERCISES

PAGE = Path(__file__).parents[1] / "docs" / "course" / "solutions.md"
SOLUTIONS = dict(enumerate(re.findall(r"^## \d+ ·.*?```python\n(.*?)```", PAGE.read_text(), re.S | re.M), 1))


def judged(number, code, folder):
    """The verdict of a text; run in this process, which is what `child.py` does in one of its own."""
    exercise = EXERCISES[number - 1]._replace(learns=0)
    path = folder / f"exercise_{number}.py"
    path.write_text(code)
    wanted = {"function": exercise.function, "signature": exercise.signature, "learns": 0}
    wanted["cases"] = [child.packed(case) for case in cases_of(exercise)]
    return verdict(exercise, child.run(path, wanted))


PLANTED = [
    # exercise, in its solution, written instead, the misconception that is to be named
    (3, "np.exp(-z)", "np.exp(z)", "σ(−z)"),
    (1, "[d_p * (after", "[-d_p * (after", None),
    (1, "return np.array([d_p", "return -np.array([d_p", "descent"),
    (1, "(1 - p) * d_q * (lr - ll), p * d_r * (rr - rl)", "0.0, 0.0", "first action only"),
    (1, "(1 - p) * d_q * (lr - ll), p * d_r", "d_q * (lr - ll), d_r", "not reached"),
    (1, " * (1 - np.array([p, q, r]))", "", "slope of σ"),
    (1, "1 / (1 + np.exp(-z))", "1 / (1 + np.exp(z))", "left for right"),
    (2, "(chance * returns)[:, None]", "returns[:, None]", "without p"),
    (2, "(chance * returns)[:, None]", "chance[:, None]", "without the return"),
    (2, "(chance * returns)[:, None]", "(chance**2 * returns)[:, None]", "p twice"),
    (2, "[[-p, -q, 0], [-p, 1 - q, 0], [1 - p, 0, -r], [1 - p, 0, 1 - r]]", "[[0, 0, 0], [0, 1, 0], [1, 0, 0], [1, 0, 1]]", "−π missing"),
    (2, "[[-p, -q, 0], [-p, 1 - q, 0], [1 - p, 0, -r], [1 - p, 0, 1 - r]]", "[[-p, -q, -r], [-p, 1 - q, 1 - r], [1 - p, -q, -r], [1 - p, 1 - q, 1 - r]]", "not visited"),
    (2, "[[-p, -q, 0], [-p, 1 - q, 0], [1 - p, 0, -r], [1 - p, 0, 1 - r]]", "[[-p, 0, 0], [-p, 0, 0], [1 - p, 0, 0], [1 - p, 0, 0]]", "first action only"),
    (2, "return (", "return -(", "descent"),
    (3, "action - 1 / (1 + np.exp(-z))", "(2 * action - 1) * np.exp(-z) / (1 + np.exp(-z)) ** 2", "of π, not log π"),
    (3, "action - 1 / (1 + np.exp(-z))", "1.0 * action", "−π missing"),
    (3, "action - 1", "1 - 1", "as if 1 was taken"),
    (3, "action - 1", "np.where(action == 1, 1, -1) - 1", "actions ±1"),
    (3, "action - 1 / (1 + np.exp(-z))", "1 / (1 + np.exp(-z)) - action", "turned"),
    (4, "[action] - p", "[action]", "−π missing"),
    (4, "[action] - p", "[action] * (1 - p)", "own logit only"),
    (4, "return np.eye(logits.shape[1])[action] - p", "return p[np.arange(len(p)), action][:, None] * (np.eye(logits.shape[1])[action] - p)", "of π, not log π"),
    (4, "p / p.sum(axis=1, keepdims=True)", "np.exp(logits) / np.exp(logits).sum(axis=0)", "along the rows' axis"),
    (4, "p = p / p.sum(axis=1, keepdims=True)", "p = np.exp(logits)", "not normalised"),
    (4, "p / p.sum(axis=1, keepdims=True)", "np.exp(logits) / np.exp(logits).sum()", "over the whole table"),
    (4, "np.eye(logits.shape[1])[action] - p", "p - np.eye(logits.shape[1])[action]", "turned"),
    (5, "u / std, u", "u, u", "σ for σ²"),
    (5, "u / std, u", "action - mean, u", "σ left out"),
    (5, "u**2 - 1", "u**2", "normaliser forgotten"),
    (5, "u**2 - 1", "(u**2 - 1) / std", "by σ, not log σ"),
    (5, "std = np.exp(log_std)", "std = log_std", "log σ for σ"),
    (5, "np.exp(log_std)", "np.sqrt(np.exp(log_std))", "variance for σ"),
    (6, "np.eye(len(p))[action] - p", "np.eye(len(p))[action]", "others stay"),
    (6, "advantage * np.outer", "abs(advantage) * np.outer", "advantage's sign"),
    (6, "np.outer(obs", "np.outer(np.abs(obs)", "observation's sign"),
    (6, "np.eye(len(p))[action] - p", "np.ones(len(p))", "all actions alike"),
    (6, "np.sign(advantage", "np.sign(-advantage", "descent"),
    (6, "np.sign(", "(", "sizes, not signs"),
    (6, "np.sign(advantage", "np.sign(max(advantage, 0)", "only when good"),
    (7, "d_z = d_h * (1 - h**2)", "d_z = d_h", "tanh's slope forgotten"),
    (7, "1 - h**2", "1 - z**2", "slope of the input"),
    (7, "(1 - h**2)", "h * (1 - h)", "sigmoid's slope"),
    (7, "np.outer(d_y, w2)", "np.outer(d_y, np.ones(len(w2)))", "w2 skipped"),
    (7, "    z = x", "    d_y = d_y / len(d_y)\n    z = x", "mean over rows"),
    (7, "d_z.sum(axis=0)", "d_h.sum(axis=0)", "bias before tanh's slope"),
    (7, "h.T @ d_y", "z.T @ d_y", "w2 of z"),
    (8, "-advantage[:, None] * score", "advantage[:, None] * score", "ascent"),
    (8, "score / number", "score", "sum, not mean"),
    (8, "score / number", "score / score.size", "mean over actions too"),
    (8, "-advantage[:, None] * score", "-score", "advantage missing"),
    (8, "[action] - np.exp(log_p)", "[action]", "−π missing"),
    (8, "return loss, -advantage", "return loss, -np.abs(advantage)", "advantage's sign"),
    (9, "(2 * step)", "step", "step for two steps"),
    (9, " / np.sqrt(len(slopes))", "", "spread for error"),
    (9, "ddof=1", "ddof=0", "M for M − 1"),
    (9, "3 * error", "error", "one error"),
    (9, "(plus - minus)", "(minus - plus)", "turned"),
    (9, "slopes.std(ddof=1) /", "np.std(plus - minus, ddof=1) /", "error not divided"),
    (10, "return found", "return np.full(len(reward), found[0])", "whole return"),
    (10, "return found", "return reward", "own reward"),
    (10, "discount * following", "following", "not discounted"),
    (10, "        following = reward[t] + discount * following\n        found[t] = following", "        found[t] = following\n        following = reward[t] + discount * following", "from the next step on"),
    (10, "reward[t] + discount * following", "discount * (reward[t] + following)", "γ too many"),
    (10, "return found", "return found * discount ** np.arange(len(reward))", "from the beginning"),
    (10, "reversed(range(len(reward)))", "range(len(reward))", "the past"),
    (11, "return np.cumsum((powers * reward)[::-1])[::-1]", "return np.cumsum((powers * reward)[::-1])[::-1] / powers", "γᵗ dropped"),
    (11, "return np", "return powers * np", "γᵗ twice"),
    (11, "np.cumsum((powers * reward)[::-1])[::-1]", "np.full(len(reward), (powers * reward).sum())", "whole return"),
    (11, "np.cumsum((powers * reward)[::-1])[::-1]", "powers * (powers * reward).sum()", "γᵗ of the whole return"),
    (11, "np.cumsum((powers * reward)[::-1])[::-1]", "powers * np.cumsum(reward[::-1])[::-1]", "rewards not discounted"),
    (11, "np.arange(len(reward))", "np.arange(1, len(reward) + 1)", "first step is 1"),
    (12, "to_go * mask", "to_go", "padding counted"),
    (12, "/ len(mask)", "/ mask.size", "mean over padding"),
    (12, "/ len(mask)", "/ mask.sum()", "mean over steps"),
    (12, "weight = to_go * mask", "weight = to_go * mask / mask.sum(axis=1, keepdims=True)", "mean of each episode"),
    (12, " / len(mask)", "", "sum over episodes"),
    (12, "to_go * mask", "mask", "no weight"),
    (13, "(returns.sum() - returns) / (len(returns) - 1)", "returns.mean()", "own return in it"),
    (13, "(len(returns) - 1)", "len(returns)", "E for E − 1"),
    (13, " / (len(returns) - 1)", "", "sum of the others"),
    (13, "return returns - others", "return others - returns", "turned"),
    (14, "weight = p * np.sum(score**2, axis=1)", "weight = p", "V"),
    (14, "weight @ q / weight.sum()", "np.mean(q)", "plain mean"),
    (14, "np.sum(score**2, axis=1)", "np.linalg.norm(score, axis=1)", "length not squared"),
    (14, "p * np.sum", "np.sum", "π missing"),
    (14, "np.sum(score**2, axis=1)", "np.diag(score) ** 2", "own logit only"),
    (14, " / weight.sum()", "", "not divided"),
    (15, " - mean @ mean", "", "mean not taken off"),
    (15, "return p @ np.sum(estimate**2, axis=1) - mean @ mean", "return np.var(estimate, axis=0).sum()", "actions alike"),
    (15, "return p", "return p @ q**2 - (p @ q) ** 2\n    return p", "of q alone"),
    (15, "return p @ np.sum(estimate**2, axis=1) - mean @ mean", "return np.sqrt(p @ np.sum(estimate**2, axis=1) - mean @ mean)", "root"),
    (15, "q - baseline", "q + baseline", "baseline added"),
    (16, " * (1 - terminated)", "", "end not seen"),
    (16, "discount * next_value", "discount * np.append(value[1:], next_value[-1])", "next row's value"),
    (16, "discount * next_value", "next_value", "not discounted"),
    (16, " - value", "", "V not taken off"),
    (16, "reward + discount * next_value * (1 - terminated) - value", "(reward + discount * next_value - value) * (1 - terminated)", "all of it gone at an end"),
    (17, "* ~terminated", "* ~(terminated | truncated)", "ends merged"),
    (17, "~(terminated | truncated)", "~terminated", "sum runs over a time limit"),
    (17, "~(terminated | truncated)", "~truncated", "sum runs over an end"),
    (17, " * goes_on[t]", "", "sum never stops"),
    (17, " * ~terminated", "", "value after the end"),
    (17, "* ~terminated", "* ~truncated", "flags exchanged"),
    (17, "discount * next_value", "discount * np.append(value[1:], next_value[-1])", "next row's value"),
    (17, "discount * trace", "discount", "λ missing"),
    (17, "discount * trace", "trace", "γ missing"),
    (17, "discount * next_value", "trace * next_value", "γ and λ exchanged"),
    (17, "    delta", "    next_value = np.append(next_value[:-1], 0)\n    delta", "cut taken for an end"),
    (17, "return found", "return found + value", "the target"),
    (17, "return found", "return delta", "one step only"),
    (18, "    weights[-1] = trace ** (steps - 1)\n", "", "no remainder"),
    (18, "    weights[-1] = trace ** (steps - 1)\n", "    weights /= weights.sum()\n", "rescaled"),
    (18, "    weights[-1] = trace ** (steps - 1)\n", "    weights *= trace\n", "λ one too high"),
    (18, "(1 - trace) * ", "", "not weighed down"),
    (19, "advantage > 0, ratio", "advantage < 0, ratio", None),
    (19, "ratio > 1 + clip_range, ratio < 1 - clip_range", "ratio < 1 - clip_range, ratio > 1 + clip_range", "wrong side"),
    (19, "np.where(advantage > 0, ratio > 1 + clip_range, ratio < 1 - clip_range)", "abs(ratio - 1) > clip_range", "both sides"),
    (19, "np.where(too_far, 0.0, ratio * advantage)", "ratio * advantage", "never clipped"),
    (19, "np.where(advantage > 0, ratio > 1 + clip_range, ratio < 1 - clip_range)", "ratio > 1 + clip_range", "above only"),
    (19, "0.0, ratio * advantage", "0.0, advantage", "r missing"),
    (19, "log_prob - old_log_prob", "old_log_prob - log_prob", "old and new exchanged"),
    (19, "0.0, ratio", "np.clip(ratio, 1 - clip_range, 1 + clip_range) * advantage, ratio", "clipped, not zero"),
    (19, "np.where(too_far", "-np.where(too_far", "of the loss"),
    (20, "log_prob - old_log_prob", "old_log_prob - log_prob", "old and new exchanged"),
    (20, "np.exp(log_ratio) - 1 - log_ratio", "-log_ratio", "plain"),
    (20, "np.exp(log_ratio) - 1 - log_ratio", "0.5 * log_ratio**2", "half the square"),
    (20, " - 1 - log", " - log", "1 forgotten"),
    (20, "- log_ratio)", "+ log_ratio)", "log added"),
    (20, "np.mean", "np.sum", "sum, not mean"),
    (21, "-p * (log_p", "p * (log_p", "turned"),
    (21, "(log_p + entropy)", "log_p", "H missing"),
    (21, "-p * (log_p + entropy)", "-(log_p + entropy)", "π missing"),
    (21, "-p * (log_p + entropy)", "-log_p - 1", "by π, not by logits"),
    (21, "log_p + entropy", "log_p + 1", "1 for H"),
    (22, "x**2", "x", "x not squared"),
    (22, "x**2 * p", "p", "x missing"),
    (22, "np.mean", "np.sum", "sum, not mean"),
    (22, "p * (1 - p)", "p * p", "σ squared"),
    (22, "p * (1 - p)", "(1 - p) ** 2", "action 1 only"),
    (22, "-theta * x", "-x", "θ forgotten"),
    # of any answer
    (3, "return ", "return -2 * (", "factor"),
    (13, "return returns - others", "return 2 * (returns - others)", "factor"),
    (22, "return ", "return -", "turned"),
    (4, "[action] - p", "[action].round(3) - p.round(6)", "rounded"),
    (7, "d_z.sum(axis=0), d_w2", "d_z.sum(axis=0)", "shape"),
]  # fmt: skip
PLANTED = [one for one in PLANTED if one[3] is not None and (one[0], one[3]) != (3, "factor")]

OTHERS = {
    1: """
        def tree_gradient(theta, returns):
            def j(at):
                s = 1 / (1 + np.exp(-at))
                return np.einsum("ab,ab", np.outer([1 - s[0], s[0]], [1, 1]) * np.array([[1 - s[1], s[1]], [1 - s[2], s[2]]]), np.reshape(returns, (2, 2)))
            return [float(np.imag(j(theta + 1e-20j * np.eye(3)[k])) / 1e-20) for k in range(3)]
    """,
    2: """
        def tree_arrows(theta, returns):
            s, rows = 1 / (1 + np.exp(-theta)), []
            for a in (0, 1):
                for b in (0, 1):
                    p = (s[0] if a else 1 - s[0]) * (s[1 + a] if b else 1 - s[1 + a])
                    row = [a - s[0], 0.0, 0.0]
                    row[1 + a] = b - s[1 + a]
                    rows.append([p * returns[2 * a + b] * one for one in row])
            return rows
    """,
    3: """
        def score(z, action):
            return [(1 if a else -1) / (1 + np.exp(x if a else -x)) for x, a in zip(z, action)]
    """,
    4: """
        def score(logits, action):
            out = []
            for z, a in zip(logits, action):
                e = [np.exp(one) for one in z]
                out.append([(j == a) - e[j] / sum(e) for j in range(len(z))])
            return out
    """,
    5: """
        def score(mean, log_std, action):
            variance = np.exp(2 * log_std)
            return np.array([-(mean - action) / variance, -(1 - (mean - action) ** 2 / variance)]).T
    """,
    6: """
        def signs(weights, obs, action, advantage):
            found = np.zeros(weights.shape, int)
            for i, x in enumerate(obs):
                for j in range(weights.shape[1]):
                    found[i, j] = np.sign(x) * np.sign(advantage) * (1 if j == action else -1)
            return found
    """,
    7: """
        def backwards(x, w1, b1, w2, d_y):
            h = np.tanh(np.einsum("nf,fh->nh", x, w1) + b1)
            d_z = np.einsum("n,h,nh->nh", d_y, w2, 1 - h * h)
            return [np.einsum("nf,nh->fh", x, d_z), np.einsum("nh->h", d_z), np.einsum("nh,n->h", h, d_y)]
    """,
    8: """
        def loss_and_gradient(logits, action, advantage):
            loss, rows = 0.0, []
            for z, a, w in zip(logits, action, advantage):
                p = np.exp(z - max(z)) / sum(np.exp(z - max(z)))
                loss -= w * np.log(p[a]) / len(action)
                rows.append([w * (p[j] - (j == a)) / len(action) for j in range(len(z))])
            return loss, np.array(rows)
    """,
    9: """
        def differences(plus, minus, step, gradient):
            d = [0.5 * (a - b) / step for a, b in zip(plus, minus)]
            m = sum(d) / len(d)
            error = (sum((x - m) ** 2 for x in d) / (len(d) - 1)) ** 0.5 / len(d) ** 0.5
            return m, error, -3 * error <= gradient - m <= 3 * error
    """,
    10: """
        def reward_to_go(reward, discount):
            t = np.arange(len(reward))
            return np.einsum("tk,k->t", np.triu(discount ** np.abs(t[None, :] - t[:, None])), reward)
    """,
    11: """
        def weights(reward, discount):
            return [sum(discount**k * reward[k] for k in range(t, len(reward))) for t in range(len(reward))]
    """,
    12: """
        def gradient(score, to_go, mask):
            return np.einsum("etd,et,et->d", score, to_go, mask) / score.shape[0]
    """,
    13: """
        def advantages(returns):
            n = len(returns)
            return (returns - returns.mean()) * n / (n - 1)
    """,
    14: """
        def best_baseline(logits, q):
            p = np.exp(logits - logits.max())
            p /= p.sum()
            w = [p[a] * ((1 - p[a]) ** 2 + sum(p[j] ** 2 for j in range(len(p)) if j != a)) for a in range(len(p))]
            return sum(x * y for x, y in zip(w, q)) / sum(w)
    """,
    15: """
        def variance(logits, q, baseline):
            p = np.exp(logits) / np.exp(logits).sum()
            g = [(q[a] - baseline) * (np.arange(len(p)) == a) - (q[a] - baseline) * p for a in range(len(p))]
            m = sum(p[a] * g[a] for a in range(len(p)))
            return sum(p[a] * np.dot(g[a] - m, g[a] - m) for a in range(len(p)))
    """,
    16: """
        def td_errors(reward, value, next_value, terminated, discount):
            out = []
            for t in range(len(reward)):
                out.append(reward[t] - value[t] + (0 if terminated[t] else discount * next_value[t]))
            return out
    """,
    17: """
        def gae(reward, value, next_value, terminated, truncated, discount, trace):
            n = len(reward)
            delta = np.where(terminated, reward, reward + discount * next_value) - value
            episode = np.cumsum(np.append(0, (terminated | truncated)[:-1]))
            t = np.arange(n)
            same = (episode[:, None] == episode[None, :]) & (t[None, :] >= t[:, None])
            return np.einsum("tk,k->t", same * (discount * trace) ** np.abs(t[None, :] - t[:, None]), delta)
    """,
    18: """
        def mixture(steps, trace):
            w = [(1 - trace) * trace**n for n in range(steps - 1)]
            return w + [1 - sum(w)]
    """,
    19: """
        def clip_gradient(log_prob, old_log_prob, advantage, clip_range):
            out = []
            for new, old, a in zip(log_prob, old_log_prob, advantage):
                r = np.exp(new) / np.exp(old)
                c = min(max(r, 1 - clip_range), 1 + clip_range)
                out.append(r * a if r * a <= c * a else 0)
            return out
    """,
    20: """
        def kl(log_prob, old_log_prob):
            r = np.exp(log_prob) / np.exp(old_log_prob)
            return float(sum(r - 1 + old_log_prob - log_prob)) / r.size
    """,
    21: """
        def entropy_gradient(logits):
            p = np.exp(logits) / np.exp(logits).sum(1)[:, None]
            jacobian = np.einsum("ni,ij->nij", p, np.eye(p.shape[1])) - np.einsum("ni,nj->nij", p, p)
            return np.einsum("nij,nj->ni", jacobian, -np.log(p) - 1)
    """,
    22: """
        def fisher(theta, x):
            total = 0
            for one in x:
                for a in (0, 1):
                    p = 1 / (1 + np.exp(-theta * one))
                    total += (p if a else 1 - p) * ((a - p) * one) ** 2
            return total / len(x)
    """,
}
"""Another way to write each: by loops, by einsum, by another formula."""

AROUND = {
    "as it is": "{f}",
    "float32": "lambda *a, **k: each(np.float32, {f}(*a, **k))",
    "of float32": "lambda *a, **k: each(np.float32, {f}(*[small(x) for x in a], **{{n: small(x) for n, x in k.items()}}))",
    "lists": "lambda *a, **k: each(lambda x: np.asarray(x).tolist(), {f}(*a, **k))",
    "an axis more": "lambda *a, **k: each(lambda x: np.asarray(x, float)[..., None], {f}(*a, **k))",
}
"""The same in another shape or with fewer digits, {f} for the function."""
HELPERS = """
def each(change, answer):
    parted = isinstance(answer, (tuple, list)) and any(np.ndim(x) for x in answer) and len({np.shape(x) for x in answer}) > 1
    return tuple(change(x) for x in answer) if parted else change(answer)


def small(x):
    return np.float32(x) if isinstance(x, np.ndarray) and x.dtype == float else x
"""
