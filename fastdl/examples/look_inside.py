"""Looking inside: filters before and after training, feature maps by depth, histograms."""

import fastdl as fd
from fastdl import viz
from fastdl.examples.kit import Run, learn, main, perceptron
from fastdl.layers import ReLU, Sigmoid

TITLE = "Looking inside a network", "ネットワークの中を見る"


def between(kind):
    """Makes one layer of this kind, whatever the width."""
    return lambda width: [kind()]


def example(run: Run) -> None:
    """Four pictures: of a trained SimpleConvNet, of a DeepConvNet, and of six initialisations."""
    data = (x, t), (x_test, _) = run.data("mnist")

    simple = fd.Trainer(fd.models.simple_convnet())
    weight = simple.net.params["conv1.weight"]
    weight *= 0.01 / weight.std()           # as the course begins: what training adds then shows
    before = weight.copy()
    learn(simple, data, run.iterations(1000), every=1000)
    run.save(viz.filters({run.say("before training", "学習前"): before,
                          run.say("after training", "学習後"): weight}), "filters")

    deep = fd.Trainer(fd.models.deep_convnet())
    learn(deep, data, run.iterations(300), every=1000)
    run.save(viz.feature_maps(deep.net, x_test[0], of=ReLU, columns=8), "feature_maps")

    sizes = [784, *[100] * (1 if run.quick else 5), 10]
    nets = {f"{kind.__name__}, {init}": perceptron(sizes, between(kind), init)
            for kind, init in ((Sigmoid, "normal"), (Sigmoid, "gauss"), (Sigmoid, "xavier"),
                               (ReLU, "gauss"), (ReLU, "xavier"), (ReLU, "he"))}
    run.save(viz.activation_histograms(nets, x[:1000], of=(Sigmoid, ReLU)), "activations")
    run.save(viz.gradient_histograms(nets, x[:1000], t[:1000]), "gradients")
    run.shows(run.say("pictures", "図"), run.say("filters, feature maps, histograms",
                                                "フィルタ、特徴マップ、ヒストグラム"),
              run.say("pictures", "図"))


if __name__ == "__main__":
    main(example)
