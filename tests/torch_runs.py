"""What the original computes in PyTorch from given weights, images and labels: the counterpart of ``jaxnext_runs``."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from jaxnext_runs import ADAM, PLATEAU
from named_values import CLASSES
from torch_optimizer import optimizer_of
from torch_reference import model, require


def shapes_of(setting: str, tiny: bool) -> dict[str, tuple[int, ...]]:
    """The shape of every tensor in a setting's state dict."""
    return {name: tuple(tensor.shape) for name, tensor in model(setting, CLASSES, tiny).state_dict().items()}


def network(setting: str, tiny: bool, state_dict: Mapping[str, np.ndarray], precision: str) -> Any:
    """A setting without dropout, in evaluation mode."""
    torch, _ = require()
    net = model(setting, CLASSES, tiny, dropout=0.0).to(getattr(torch, precision))
    net.load_state_dict({name: torch.from_numpy(np.array(value)) for name, value in state_dict.items()}, strict=True)
    return net


class BothModes(NamedTuple):
    """As ``jaxnext_runs.BothModes``; gradients and statistics under PyTorch's names."""

    activations: dict[str, np.ndarray]
    evaluation: np.ndarray
    training: np.ndarray
    loss: float
    gradients: dict[str, np.ndarray]
    batch_stats: dict[str, np.ndarray]


def both_modes(
    setting: str,
    tiny: bool,
    precision: str,
    state_dict: Mapping[str, np.ndarray],
    images: np.ndarray,
    labels: np.ndarray,
    channels_last: bool = False,
) -> BothModes:
    """Run one batch in both modes, the gradient being that of the mean cross-entropy in training mode."""
    torch, _ = require()
    net = network(setting, tiny, state_dict, precision)
    inputs = torch.from_numpy(np.ascontiguousarray(images.transpose(0, 3, 1, 2).astype(precision)))
    if channels_last:
        net, inputs = (thing.to(memory_format=torch.channels_last) for thing in (net, inputs))
    stages = {f"stage{i + 1}": getattr(net, f"layer{i}") for i in range(1, 5)}
    modules = {"stem": net.maxpool} | stages
    if "cbam" in setting:
        modules |= {"stage5": net.layer4[-2], "cbam": net.layer4.cbam}
    if "fc" in setting:
        modules |= {"head/activation1": net.fc[2], "head/activation2": net.fc[6]}
    activations: dict[str, np.ndarray] = {}

    def record(name: str) -> Any:
        def hook(module: Any, arguments: Any, output: Any) -> None:
            array = output.detach().numpy()
            activations[name] = (array.transpose(0, 2, 3, 1) if array.ndim == 4 else array).copy()

        return hook

    hooks = [module.register_forward_hook(record(name)) for name, module in modules.items()]
    with torch.no_grad():
        evaluation = net(inputs).numpy()
    for hook in hooks:
        hook.remove()
    net.train()
    logits = net(inputs)
    loss = torch.nn.functional.cross_entropy(logits, torch.from_numpy(labels.astype(np.int64)))
    loss.backward()
    gradients = {name: parameter.grad.contiguous().numpy() for name, parameter in net.named_parameters()}
    stats = {name: buffer.numpy() for name, buffer in net.named_buffers()}
    return BothModes(activations, evaluation, logits.detach().numpy(), loss.item(), gradients, stats)


def float32_gradients(
    setting: str, tiny: bool, state_dict: Mapping[str, np.ndarray], images: np.ndarray, labels: np.ndarray
) -> list[dict[str, np.ndarray]]:
    """PyTorch's own gradients in float32, with either of its memory layouts.

    The larger of their two errors is what PyTorch's float32 error is taken to be: in one computation a leaf's rounding
    errors may happen to cancel.
    """
    return [
        both_modes(setting, tiny, "float32", state_dict, images, labels, channels_last=channels_last).gradients
        for channels_last in (False, True)
    ]


def gradient_errors(found: Mapping[str, np.ndarray], exact: Mapping[str, np.ndarray]) -> dict[str, float]:
    """The norm of each leaf's error."""
    return {name: float(np.linalg.norm(found[name].astype(np.float64) - leaf)) for name, leaf in exact.items()}


class Descent(NamedTuple):
    """As ``jaxnext_runs.Descent``, under PyTorch's names."""

    losses: list[float]
    learning_rates: list[float]
    norms: list[dict[str, float]]
    params: dict[str, np.ndarray]
    batch_stats: dict[str, np.ndarray]


def descent(
    setting: str,
    tiny: bool,
    state_dict: Mapping[str, np.ndarray],
    batches: list[tuple[np.ndarray, np.ndarray]],
    optimizer: Any = ADAM,
) -> Descent:
    """PyTorch's optimizer in double, batch after batch, its loss given to ``ReduceLROnPlateau`` after each."""
    torch, _ = require()
    net = network(setting, tiny, state_dict, "float64").train()
    stepping = optimizer_of(optimizer, net)
    schedule = torch.optim.lr_scheduler.ReduceLROnPlateau(
        stepping, factor=PLATEAU.factor, patience=PLATEAU.patience, threshold=PLATEAU.threshold
    )
    losses, rates, norms = [], [], []
    for images, labels in batches:
        rates.append(stepping.param_groups[0]["lr"])
        inputs = torch.from_numpy(np.ascontiguousarray(images.transpose(0, 3, 1, 2).astype(np.float64)))
        loss = torch.nn.functional.cross_entropy(net(inputs), torch.from_numpy(labels.astype(np.int64)))
        stepping.zero_grad()
        loss.backward()
        stepping.step()
        losses.append(loss.item())
        norms.append({name: float(np.linalg.norm(p.detach().numpy())) for name, p in net.named_parameters()})
        schedule.step(losses[-1])
    params = {name: parameter.detach().numpy() for name, parameter in net.named_parameters()}
    return Descent(losses, rates, norms, params, {name: buffer.numpy() for name, buffer in net.named_buffers()})


def kinks(setting: str, tiny: bool, state_dict: Mapping[str, np.ndarray], images: np.ndarray) -> dict[str, int]:
    """How many values of a training batch lie nearer to a kink than PyTorch's largest float32 error in their layer.

    Float32 may put them on the kink's other side. The gradient to compare in float32 should have none: one
    unit of a ReLU that is on in one computation and off in the other changes the gradient by more than the rounding of
    all others together, and which computation it strikes is chance.
    """
    torch, _ = require()
    seen: dict[str, list[Any]] = {}

    def record(name: str) -> Any:
        def hook(module: Any, arguments: Any) -> None:
            seen.setdefault(name, []).append(arguments[0].detach().double().clone())

        return hook

    def largest_two(x: Any, dim: int) -> Any:
        best = x.topk(2, dim).values if x.shape[dim] > 1 else x
        return torch.where(best.select(dim, 0) > 0, best.select(dim, 0) - best.select(dim, -1), torch.inf)

    for precision in ("float64", "float32"):
        net = network(setting, tiny, state_dict, precision).train()
        for name, module in net.named_modules():
            if isinstance(module, torch.nn.ReLU | torch.nn.MaxPool2d) or name == "layer4.cbam":
                module.register_forward_pre_hook(record(f"{precision} {name}"))
        with torch.no_grad():
            net(torch.from_numpy(np.ascontiguousarray(images.transpose(0, 3, 1, 2).astype(precision))))
    found = {}
    for key, calls in seen.items():
        precision, name = key.split(" ")
        for call, x in enumerate(calls if precision == "float64" else []):
            error = float((seen[f"float32 {name}"][call] - x).abs().max())
            if name == "maxpool":
                windows = torch.nn.functional.unfold(x, 3, padding=1, stride=2)
                distance = largest_two(windows.unflatten(1, (x.shape[1], 9)), 2)
            elif name == "layer4.cbam":
                distance = largest_two(x.flatten(2), 2)
            else:
                distance = x.abs()
            found[f"{name} {call}"] = int((distance < error).sum())
    return found


def jitter(factors: Sequence[float], order: Sequence[int]) -> Any:
    """torchvision's ColorJitter with its draw replaced by fixed factors and a fixed order."""
    torch, torchvision = require()
    transform = torchvision.transforms.ColorJitter(0.2, 0.2, 0.2)
    drawn = (torch.tensor([int(place) for place in order]), *map(float, factors), None)
    transform.get_params = lambda *ranges: drawn
    return transform
