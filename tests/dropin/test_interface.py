"""Names, signatures and defaults of the course's modules, from a table written by hand."""

import importlib
import inspect

import pytest

ZERO1_LAYERS = {
    "Relu": "()",
    "Sigmoid": "()",
    "Affine": "(W, b)",
    "SoftmaxWithLoss": "()",
    "Dropout": "(dropout_ratio=0.5)",
    "BatchNormalization": "(gamma, beta, momentum=0.9, running_mean=None, running_var=None)",
    "Convolution": "(W, b, stride=1, pad=0)",
    "Pooling": "(pool_h, pool_w, stride=2, pad=0)",
}
WINDOWS = {
    "im2col": "(input_data, filter_h, filter_w, stride=1, pad=0)",
    "col2im": "(col, input_shape, filter_h, filter_w, stride=1, pad=0)",
}
ZERO1_FUNCTIONS = {
    "identity_function": "(x)", "step_function": "(x)", "sigmoid": "(x)", "sigmoid_grad": "(x)",
    "relu": "(x)", "relu_grad": "(x)", "softmax": "(x)", "sum_squared_error": "(y, t)",
    "cross_entropy_error": "(y, t)", "softmax_loss": "(X, t)",
}


def optimizers_with(rate):
    return {
        "SGD": f"({rate}=0.01)",
        "Momentum": f"({rate}=0.01, momentum=0.9)",
        "Nesterov": f"({rate}=0.01, momentum=0.9)",
        "AdaGrad": f"({rate}=0.01)",
        "RMSprop": f"({rate}=0.01, decay_rate=0.99)",
        "Adam": f"({rate}=0.001, beta1=0.9, beta2=0.999)",
    }


MULTI_LAYER = ("(input_size, hidden_size_list, output_size, activation='relu', "
               "weight_init_std='relu', weight_decay_lambda=0")
LOAD_MNIST = "(normalize=True, flatten=True, one_hot_label=False)"
FIVE_BY_FIVE = "{'filter_num': 30, 'filter_size': 5, 'pad': 0, 'stride': 1}"


def filters(number, size=3, pad=1):
    return f"{{'filter_num': {number}, 'filter_size': {size}, 'pad': {pad}, 'stride': 1}}"


DEEP = ", ".join(f"conv_param_{i}={filters(number, pad=2 if i == 4 else 1)}"
                 for i, number in enumerate((16, 16, 32, 32, 64, 64), 1))

INTERFACE = {
    "zero1.common.functions": {"np": None, **ZERO1_FUNCTIONS},
    "zero1.common.layers": {"np": None, **ZERO1_FUNCTIONS, **WINDOWS, **ZERO1_LAYERS},
    "zero1.common.util": {
        "np": None, **WINDOWS, "smooth_curve": "(x)", "shuffle_dataset": "(x, t)",
        "conv_output_size": "(input_size, filter_size, stride=1, pad=0)"},
    "zero1.common.optimizer": {"np": None, **optimizers_with("lr")},
    "zero1.common.gradient": {
        "np": None, "numerical_gradient": "(f, x)", "numerical_gradient_2d": "(f, X)"},
    "zero1.common.trainer": {
        "np": None, "sys": None, "os": None, **optimizers_with("lr"),
        "Trainer": "(network, x_train, t_train, x_test, t_test, epochs=20, mini_batch_size=100, "
                   "optimizer='SGD', optimizer_param={'lr': 0.01}, "
                   "evaluate_sample_num_per_epoch=None, verbose=True)"},
    "zero1.common.multi_layer_net": {
        "np": None, "sys": None, "os": None, "OrderedDict": None, **ZERO1_LAYERS,
        "numerical_gradient": "(f, x)", "MultiLayerNet": MULTI_LAYER + ")"},
    "zero1.common.multi_layer_net_extend": {
        "np": None, "sys": None, "os": None, "OrderedDict": None, **ZERO1_LAYERS,
        "numerical_gradient": "(f, x)",
        "MultiLayerNetExtend": MULTI_LAYER + ", use_dropout=False, dropout_ration=0.5, "
                                             "use_batchnorm=False)"},
    "zero1.dataset.mnist": {
        "np": None, "load_mnist": LOAD_MNIST, "init_mnist": "()", "download_mnist": "()",
        "key_file": None, "train_num": None, "test_num": None, "img_dim": None, "img_size": None,
        "url_base": None, "dataset_dir": None, "save_file": None, "gzip": None, "os": None,
        "pickle": None, "urllib": None},
    "studyai.common.functions": {
        "np": None, **WINDOWS, "sigmoid": "(x)", "relu": "(x)", "step_function": "(x)",
        "softmax": "(x)", "softmax_with_loss": "(d, x)", "mean_squared_error": "(d, y)",
        "cross_entropy_error": "(d, y)", "d_sigmoid": "(x)", "d_relu": "(x)",
        "d_step_function": "(x)", "d_mean_squared_error": "(d, y)",
        "d_softmax_with_loss": "(d, y)", "d_sigmoid_with_loss": "(d, y)",
        "numerical_gradient": "(f, x)"},
    "studyai.common.layers": {
        "np": None, "functions": None, "OrderedDict": None, **ZERO1_LAYERS,
        "Pooling": "(pool_h, pool_w, stride=1, pad=0)"},
    "studyai.common.optimizer": {"np": None, **optimizers_with("learning_rate")},
    "studyai.data.mnist": {"np": None, "load_mnist": LOAD_MNIST},
    "studyai.multi_layer_net": {
        "np": None, "layers": None, "OrderedDict": None,
        "MultiLayerNet": MULTI_LAYER + ", use_dropout=False, dropout_ratio=0.5, "
                                       "use_batchnorm=False)"},
    "studyai.simple_convolution_network": {
        "SimpleConvNet": f"(input_dim=(1, 28, 28), conv_param={FIVE_BY_FIVE}, hidden_size=100, "
                         "output_size=10, weight_init_std=0.01)"},
    "studyai.double_convolution_network": {
        "DoubleConvNet": f"(input_dim=(1, 28, 28), conv_param_1={filters(10, 7)}, "
                         f"conv_param_2={filters(20)}, hidden_size=50, output_size=10, "
                         "weight_init_std=0.01)"},
    "studyai.deep_convolution_network": {
        "DeepConvNet": f"(input_dim=(1, 28, 28), {DEEP}, hidden_size=50, output_size=10)"},
}

METHODS = {
    "zero1.common.layers": {
        "Relu": {"forward": "(x)", "backward": "(dout)"},
        "Affine": {"forward": "(x)", "backward": "(dout)"},
        "SoftmaxWithLoss": {"forward": "(x, t)", "backward": "(dout=1)"},
        "Dropout": {"forward": "(x, train_flg=True)", "backward": "(dout)"},
        "BatchNormalization": {"forward": "(x, train_flg=True)", "backward": "(dout)"},
        "Pooling": {"forward": "(x)", "backward": "(dout)"}},
    "studyai.common.layers": {"SoftmaxWithLoss": {"forward": "(x, d)", "backward": "(dout=1)"}},
    "zero1.common.optimizer": {"Adam": {"update": "(params, grads)"}},
    "studyai.common.optimizer": {"Adam": {"update": "(params, grad)"}},
    "zero1.common.multi_layer_net": {"MultiLayerNet": {
        "predict": "(x)", "loss": "(x, t)", "accuracy": "(x, t)", "gradient": "(x, t)",
        "numerical_gradient": "(x, t)"}},
    "zero1.common.multi_layer_net_extend": {"MultiLayerNetExtend": {
        "predict": "(x, train_flg=False)", "loss": "(x, t, train_flg=False)",
        "accuracy": "(x, t)", "gradient": "(x, t)", "numerical_gradient": "(x, t)"}},
    "studyai.multi_layer_net": {"MultiLayerNet": {
        "predict": "(x, train_flg=False)", "loss": "(x, d, train_flg=False)",
        "accuracy": "(X, D)", "gradient": "(x, d)"}},
    "studyai.simple_convolution_network": {"SimpleConvNet": {
        "predict": "(x)", "loss": "(x, d)", "accuracy": "(x, d, batch_size=100)",
        "gradient": "(x, d)"}},
    "studyai.deep_convolution_network": {"DeepConvNet": {
        "predict": "(x, train_flg=False)", "loss": "(x, d)", "gradient": "(x, d)"}},
}


def module(name):
    return importlib.import_module(f"fastdl.dropin.{name}")


def signature(function):
    """As the course writes it: without self and annotations."""
    plain = inspect.signature(function)
    parameters = [p.replace(annotation=p.empty) for p in plain.parameters.values()
                  if p.name != "self"]
    return str(inspect.Signature(parameters))


@pytest.mark.parametrize("name", INTERFACE)
def test_names_and_signatures(name):
    for attribute, expected in INTERFACE[name].items():
        value = getattr(module(name), attribute)
        if expected is not None:
            assert signature(value) == expected, f"{name}.{attribute}"


@pytest.mark.parametrize("name", INTERFACE)
def test_star_import(name):
    names = {}
    exec(f"from fastdl.dropin.{name} import *", names)
    assert set(INTERFACE[name]) <= set(names)


@pytest.mark.parametrize("name", METHODS)
def test_methods(name):
    for class_name, methods in METHODS[name].items():
        for method, expected in methods.items():
            given = getattr(getattr(module(name), class_name), method)
            assert signature(given) == expected, f"{class_name}.{method}"


@pytest.mark.parametrize("name", INTERFACE)
def test_documented(name):
    for attribute, expected in INTERFACE[name].items():
        if expected is not None:
            assert inspect.getdoc(getattr(module(name), attribute)), f"{name}.{attribute}"
