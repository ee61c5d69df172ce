"""Policy gradients by hand: NumPy alone, and each gradient derived on paper, in the docstring of its function.

Read in this order; each file needs only those before it:

    layers.py       what a network is made of, and the gradient of each piece
    networks.py     the pieces in a chain, and the chain rule through them
    policies.py     from a network's outputs to probabilities of actions
    advantages.py   how much better than expected an action turned out
    optimizers.py   one step downhill
    vpg.py          the policy gradient itself
    ppo.py          the same, learning from each step more than once
    pathwise.py     the return itself, differentiated through the dynamics of Pendulum
    __main__.py     the command: CartPole, from nothing to 475 steps
    program.py      the same behind the trainer's loop: gradients=by_hand in a config

Notation. `d_x` is the gradient of the loss L, a scalar, with respect to x, and has the shape of x: ∂L/∂x. A function
that goes backwards takes the gradient of what the forward function returned and gives that of what it was given.
N is the number of steps (rows), one row to an observation.
"""
