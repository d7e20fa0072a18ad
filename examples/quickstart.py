"""The README's twenty lines, on the digits that come with fastdl: runs anywhere in seconds."""

import fastdl as fd

fd.seed(0)
(x, t), test = fd.datasets.digits()
net = fd.Sequential(
    fd.layers.Conv2d(1, 16, 3, padding=1), fd.layers.ReLU(), fd.layers.MaxPool2d(2),
    fd.layers.Conv2d(16, 32, 3, padding=1), fd.layers.ReLU(), fd.layers.MaxPool2d(2),
    fd.layers.Flatten(), fd.layers.Linear(32 * 2 * 2, 10))
trainer = fd.Trainer(net, loss="softmax_cross_entropy", optimizer=fd.optimizers.Adam(lr=3e-3))
history = trainer.fit(x, t, epochs=20, batch_size=50, validation_data=test)
print(history)
print(fd.explain("conv2d"))
