"""The Tree-LSTM in DyNet, node by node, which DyNet batches while it runs (Neubig, Goldberg & Dyer, *On-the-fly operation
batching in dynamic computation graphs*, 2017): `dynet_peer.py tree_lstm autobatch FLAGS`.

Everything is in f32. DyNet's Adagrad divides by √(m + ε) where the others do by √m + ε, with ε small in both.
"""

import dynet_config

dynet_config.set(mem=1024, random_seed=1, autobatch=1)

import dynet as dy  # noqa: E402
import numpy as np  # noqa: E402
from common import main  # noqa: E402


class Peer:
    def __init__(self, args, p):
        self.batch = args.batch
        self.all = dy.ParameterCollection()
        # Vectors are columns.
        self.p = {k: self.all.parameters_from_numpy(np.ascontiguousarray(w.T)) for k, w in p.items() if k != "emb"}
        self.emb = self.all.lookup_parameters_from_numpy(p["emb"])
        self.trainer = dy.AdagradTrainer(self.all, learning_rate=args.lr, eps=1e-20)
        # It clips gradients unless told not to.
        self.trainer.set_clip_threshold(-1)
        self.size = len(p["Wy"])

    def shape(self, _batch):
        return None

    def prepare(self, _batch):
        pass

    def loss(self, tree):
        dy.renew_cg()
        p, n, losses = self.p, self.size, []

        def state(gates, i, o, u, more):
            part = lambda k: dy.pick_range(gates, k * n, (k + 1) * n)
            c = dy.cmult(dy.logistic(part(i)), dy.tanh(part(u)))
            for k, below in more:
                c = c + dy.cmult(dy.logistic(part(k)), below)
            return dy.cmult(dy.logistic(part(o)), dy.tanh(c)), c

        def go(node):
            if tree.left[node] < 0:
                x = dy.lookup(self.emb, int(tree.words[node]))
                h, c = state(dy.affine_transform([p["bl"], p["Wl"], x]), 0, 1, 2, [])
            else:
                (hl, cl), (hr, cr) = go(tree.left[node]), go(tree.right[node])
                both = dy.concatenate([hl, hr])
                h, c = state(dy.affine_transform([p["bu"], p["U"], both]), 0, 3, 4, [(1, cl), (2, cr)])
            logits = dy.affine_transform([p["by"], p["Wy"], h])
            losses.append(dy.pickneglogsoftmax(logits, int(tree.labels[node])))
            return h, c

        for root in tree.roots:
            go(root)
        return dy.esum(losses) * (1 / self.batch)

    def gradients(self, batch):
        loss = self.loss(batch)
        loss.forward()
        loss.backward()
        found = {k: np.array(w.grad_as_array()).T.copy() for k, w in self.p.items()}
        found["emb"] = np.array(self.emb.grad_as_array())
        # The only thing that clears gradients is an update.
        nothing = dy.SimpleSGDTrainer(self.all, learning_rate=0.0)
        nothing.update()
        return found

    def step(self, batch):
        loss = self.loss(batch)
        value = loss.scalar_value()
        loss.backward()
        self.trainer.update()
        return value


def make(model, _how, args, p):
    assert model == "tree_lstm" and args.precision == "f32" and args.optimizer == "adagrad"
    return Peer(args, p)


if __name__ == "__main__":
    main(make, ("autobatch",))
