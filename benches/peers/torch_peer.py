"""The workloads in PyTorch: `torch_peer.py MODEL HOW FLAGS`.

HOW is `eager`: operators called one by one, loops and recursion in Python; `library`: the library's own recurrent layers
(char_rnn), channels last (cnn) or all nodes of a height at once (tree_lstm); or `compile`: `torch.compile` of what is
`eager`. Updates are the library's fused ones.
"""

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")
import numpy as np
import torch
import torch.nn.functional as F
from common import main

torch.set_num_threads(int(os.environ["OMP_NUM_THREADS"]))


def cells(p, h, gates_of, update):
    outputs = []
    for x in gates_of:
        h = update(p, h, x)
        outputs.append(h[0])
    return torch.stack(outputs)


def rnn(p, h, x):
    return (torch.tanh(torch.addmm(x, h[0], p["Wh"])),)


def lstm(p, h, x):
    i, f, g, o = torch.addmm(x, h[0], p["Wh"]).chunk(4, 1)
    c = torch.sigmoid(f) * h[1] + torch.sigmoid(i) * torch.tanh(g)
    return torch.sigmoid(o) * torch.tanh(c), c


def char_rnn(args, how):
    states = 2 if args.cell == "lstm" else 1

    def loss(p, inputs, targets):
        zeros = torch.zeros(args.batch, args.hidden, dtype=p["Wh"].dtype)
        if how == "library":
            x = F.one_hot(inputs, len(p["Wx"])).to(zeros.dtype)
            weights = [p["Wx"].T, p["Wh"].T, p["b"], torch.zeros_like(p["b"])]
            state = (zeros[None],) * states
            run = torch._VF.lstm if states == 2 else torch._VF.rnn_tanh
            h = run(x, state if states == 2 else state[0], weights, True, 1, 0.0, True, False, False)[0]
        else:
            update = lstm if states == 2 else rnn
            h = cells(p, (zeros,) * states, (F.embedding(inputs, p["Wx"]) + p["b"]).unbind(0), update)
        logits = h.flatten(0, 1) @ p["Wy"] + p["by"]
        return F.cross_entropy(logits, targets.flatten(), reduction="sum") / args.batch

    return loss


def cnn(args, how):
    def loss(p, images, labels):
        x = images.view(-1, 1, 28, 28)
        if how == "library":
            x = x.contiguous(memory_format=torch.channels_last)
        x = F.relu(F.max_pool2d(F.conv2d(x, p["w1"]), 2))
        x = F.relu(F.max_pool2d(F.conv2d(x, p["w2"]), 2)).reshape(-1, 320)
        x = F.relu(torch.addmm(p["b1"], x, p["f1"]))
        return F.cross_entropy(torch.addmm(p["b2"], x, p["f2"]), labels)

    return loss


def mlp(args, how):
    def loss(p, images, labels):
        x = F.relu(torch.addmm(p["b1"], images, p["w1"]))
        x = F.relu(torch.addmm(p["b2"], x, p["w2"]))
        return F.cross_entropy(torch.addmm(p["b3"], x, p["w3"]), labels)

    return loss


def transformer(args, how):
    width, heads = args.width, args.heads

    def linear(p, name, x):
        return x @ p[name + ".w"] + p[name + ".b"]

    def norm(p, name, x):
        return F.layer_norm(x, (width,), p[name + ".gain"], p[name + ".bias"], 1e-5)

    def loss(p, inputs, targets):
        n, t = inputs.shape
        x = F.embedding(inputs, p["characters.table"]) + p["positions"][:t]
        for k in range(args.layers):
            b = f"blocks.{k}."
            qkv = linear(p, b + "attention", norm(p, b + "norm1", x)).view(n, t, 3, heads, width // heads)
            q, k_, v = qkv.permute(2, 0, 3, 1, 4)
            mixed = F.scaled_dot_product_attention(q, k_, v, is_causal=True).transpose(1, 2).reshape(n, t, width)
            x = x + linear(p, b + "join", mixed)
            x = x + linear(p, b + "contract", F.gelu(linear(p, b + "expand", norm(p, b + "norm2", x))))
        logits = linear(p, "output", norm(p, "norm", x))
        return F.cross_entropy(logits.flatten(0, 1), targets.flatten())

    return loss


def leaves(p, x):
    i, o, u = torch.addmm(p["bl"], x, p["Wl"]).chunk(3, 1)
    c = torch.sigmoid(i) * torch.tanh(u)
    return torch.sigmoid(o) * torch.tanh(c), c


def inner(p, hl, hr, cl, cr):
    i, fl, fr, o, u = torch.addmm(p["bu"], torch.cat((hl, hr), 1), p["U"]).chunk(5, 1)
    c = torch.sigmoid(i) * torch.tanh(u) + torch.sigmoid(fl) * cl + torch.sigmoid(fr) * cr
    return torch.sigmoid(o) * torch.tanh(c), c


def tree_lstm(args, how):
    def loss(p, rows, tree):
        h_leaves, c_leaves = leaves(p, rows[torch.from_numpy(tree.local)])
        if how == "library":
            # All nodes of one height at once; a node's place is where it comes in this order.
            place = {int(node): k for k, node in enumerate(tree.leaves)}
            h, c, labels = h_leaves, c_leaves, [tree.labels[tree.leaves]]
            for group in tree.order:
                left, right = (torch.tensor([place[int(n)] for n in side[group]]) for side in (tree.left, tree.right))
                place.update({int(node): len(place) + k for k, node in enumerate(group)})
                h_new, c_new = inner(p, h[left], h[right], c[left], c[right])
                h, c = torch.cat((h, h_new)), torch.cat((c, c_new))
                labels.append(tree.labels[group])
            labels = torch.from_numpy(np.concatenate(labels))
        else:
            states = []
            at = iter(zip(h_leaves.split(1), c_leaves.split(1)))

            def go(node):
                if tree.left[node] < 0:
                    state = next(at)
                else:
                    (hl, cl), (hr, cr) = go(tree.left[node]), go(tree.right[node])
                    state = inner(p, hl, hr, cl, cr)
                states.append(state[0])
                return state

            for root in tree.roots:
                go(root)
            h, labels = torch.cat(states), torch.from_numpy(tree.labels)
        return F.cross_entropy(torch.addmm(p["by"], h, p["Wy"]), labels, reduction="sum") / args.batch

    return loss


MODELS = {"char_rnn": char_rnn, "cnn": cnn, "mlp": mlp, "transformer": transformer, "tree_lstm": tree_lstm}


class Peer:
    def __init__(self, model, how, args, p):
        self.args, self.tree = args, model == "tree_lstm"
        self.p = {k: torch.from_numpy(w).requires_grad_() for k, w in p.items()}
        if model == "cnn" and how == "library":
            for k in ("w1", "w2"):
                self.p[k] = self.p[k].detach().to(memory_format=torch.channels_last).requires_grad_()
        if self.tree:
            self.emb = self.p.pop("emb").detach()
            self.sum = torch.zeros_like(self.emb)
        loss = MODELS[model](args, how)
        self.compiled = how == "compile"
        self.loss = torch.compile(loss) if self.compiled else loss
        kinds = {"sgd": torch.optim.SGD, "adagrad": torch.optim.Adagrad, "adam": torch.optim.Adam}
        self.optimizer = kinds[args.optimizer](self.p.values(), lr=args.lr, fused=True)

    def shape(self, batch):
        return None if self.tree else tuple(x.shape for x in batch)

    def backward(self, batch):
        if self.tree:
            rows = self.emb[torch.from_numpy(batch.distinct)].requires_grad_()
            loss = self.loss(self.p, rows, batch)
        else:
            rows, loss = None, self.loss(self.p, *(torch.from_numpy(x.copy(order="C")) for x in batch))
        loss.backward()
        return loss, rows

    def prepare(self, batch):
        if self.compiled:
            self.gradients(batch)

    def gradients(self, batch):
        _, rows = self.backward(batch)
        found = {k: w.grad.numpy().copy() for k, w in self.p.items()}
        if self.tree:
            found["emb"] = torch.zeros_like(self.emb).numpy()
            found["emb"][batch.distinct] = rows.grad.numpy()
        self.optimizer.zero_grad()
        return found

    def step(self, batch):
        loss, rows = self.backward(batch)
        if getattr(self.args, "clip", 0) > 0:
            torch.nn.utils.clip_grad_value_(self.p.values(), self.args.clip)
        self.optimizer.step()
        if self.tree:
            with torch.no_grad():
                at, g = torch.from_numpy(batch.distinct), rows.grad
                m = self.sum[at].addcmul_(g, g)
                self.sum[at] = m
                self.emb[at] -= self.args.lr * g / (m.sqrt_() + 1e-10)
        self.optimizer.zero_grad()
        return loss.item()


if __name__ == "__main__":
    main(Peer, ("eager", "library", "compile"))
