"""One update of both networks, from the networks' start to the last gradient."""

from __future__ import annotations

from functools import partial
from typing import Any

import pytest
import torch
from support.runs import tiny
from torch import nn

from agm.networks.critic import clip_weights
from agm.training.losses import visual_loss
from agm.training.step import Execution, Networks, all_alike, build, stepper, train_step

QUIET = Execution(device="cpu")


def one_step(**fields: Any) -> tuple[Networks, torch.Tensor, torch.Tensor, torch.Tensor]:
    config = tiny(**fields)
    networks = build(config, QUIET)
    networks.generator.train()
    random = torch.Generator().manual_seed(5)
    low, target = torch.rand(4, 3, 8, 8, generator=random), torch.rand(4, 3, 16, 16, generator=random)
    before = networks.generator(low, config.schedule)
    networks = build(config, QUIET)
    networks.generator.train()
    losses = train_step(networks, low, target, torch.rand(4, generator=random), [config.schedule])
    return networks, losses, visual_loss(before, target), target


def test_a_step_returns_the_visual_loss_of_all_iterations() -> None:
    _, losses, visual, _ = one_step()
    torch.testing.assert_close(losses[0], visual.detach())


def test_a_step_leaves_the_critic_clipped_but_its_norms_free() -> None:
    networks, *_ = one_step(lipschitz="clipping", weight_clip=0.003, learning_rate=0.1)
    clipped = {name: p.clone() for name, p in networks.critic.named_parameters()}
    clip_weights(networks.critic, 0.003)
    assert all(torch.equal(p, clipped[name]) for name, p in networks.critic.named_parameters())
    norms = [module for module in networks.critic.modules() if isinstance(module, nn.BatchNorm2d)]
    assert any(norm.weight.abs().max() > 0.5 for norm in norms)


@pytest.mark.parametrize("lipschitz", ["penalty", "none"])
def test_a_step_does_not_clip_weights_where_not_asked_to(lipschitz: str) -> None:
    networks, *_ = one_step(lipschitz=lipschitz, learning_rate=0.1)
    assert max(p.abs().max() for p in networks.critic.network[0].parameters()) > 0.05


def test_the_penalty_counts_in_the_critics_loss() -> None:
    losses = [one_step(lipschitz="penalty", penalty_weight=w)[1][1].item() for w in (0.0, 1.0, 2.0)]
    assert losses[1] > losses[0]
    assert losses[2] - losses[1] == pytest.approx(losses[1] - losses[0], rel=1e-4)


def test_critic_scores_the_last_iteration_only() -> None:
    """L_D, corrected: E[D(fake)] - E[D(real)], worked out from the untrained networks."""
    _, losses, _, target = one_step()
    fresh = build(tiny(), QUIET)
    fresh.generator.train()
    fresh.critic.train()
    random = torch.Generator().manual_seed(5)
    images = fresh.generator(torch.rand(4, 3, 8, 8, generator=random), "xxxx (2)")
    expected = fresh.critic(images[-1]).mean() - fresh.critic(target).mean()
    torch.testing.assert_close(losses[1], expected.detach())


@pytest.mark.parametrize(("signs", "sign"), [("corrected", -1), ("paper", 1)])
def test_the_generator_follows_the_gradient_of_its_loss(signs: str, sign: int) -> None:
    """Visual loss of all iterations, and the score of the last image by the critic as its own step has left it."""
    fields = {"signs": signs, "adversarial_weight": 100.0, "lipschitz": "none", "gradient_clip": 1e6}
    networks, _, _, target = one_step(**fields)
    fresh = build(tiny(**fields), QUIET).generator.train()
    random = torch.Generator().manual_seed(5)
    images = fresh(torch.rand(4, 3, 8, 8, generator=random), "xxxx (2)")
    loss = (images - target).square().mean() + sign * 100.0 * networks.critic(images[-1]).mean()
    gradients = torch.autograd.grad(loss, list(fresh.parameters()))
    for expected, parameter in zip(gradients, networks.generator.parameters(), strict=True):
        torch.testing.assert_close(parameter.grad, expected, rtol=1e-3, atol=1e-5)


def test_gradients_are_clipped_to_the_norm_asked_for() -> None:
    """The gradients that the last step used are still there: their norm is the limit, or less."""
    networks, *_ = one_step(gradient_clip=0.01)
    for module in (networks.generator, networks.critic):
        gradients = [p.grad.flatten() for p in module.parameters() if p.grad is not None]
        assert torch.cat(gradients).norm().item() == pytest.approx(0.01, rel=1e-3)


def test_the_generators_step_does_not_train_the_critic() -> None:
    """With a huge adversarial weight the critic still gets its own gradient only."""
    one, other = (one_step(adversarial_weight=w)[0].critic.state_dict() for w in (1e-6, 1e6))
    torch.testing.assert_close(one, other, rtol=0, atol=0)


def test_without_adversarial_weight_no_critic_is_trained() -> None:
    networks, losses, *_ = one_step(adversarial_weight=0.0)
    torch.testing.assert_close(networks.critic.state_dict(), build(tiny(), QUIET).critic.state_dict(), rtol=0, atol=0)
    assert losses[1] == 0


def test_weights_are_decided_by_the_seed() -> None:
    first, again, other = (build(tiny(seed=seed), QUIET) for seed in (3, 3, 4))
    torch.testing.assert_close(first.generator.state_dict(), again.generator.state_dict(), rtol=0, atol=0)
    torch.testing.assert_close(first.critic.state_dict(), again.critic.state_dict(), rtol=0, atol=0)
    assert not torch.equal(first.generator.d.weight, other.generator.d.weight)


def test_both_networks_have_the_papers_optimizer() -> None:
    networks = build(tiny(learning_rate=1e-4), QUIET)
    for optimizer in (networks.optimizer, networks.critic_optimizer):
        (group,) = optimizer.param_groups
        assert (group["lr"], group["eps"], group["betas"]) == (1e-4, 1e-5, (0.9, 0.999))


@pytest.mark.parametrize(
    ("fields", "repeated"), [({}, True), ({"sampling": "prefix"}, False), ({"decay": "cosine"}, False)]
)
def test_where_a_graph_can_repeat_the_steps(fields: dict[str, Any], repeated: bool) -> None:
    assert all_alike(tiny(**fields).training) == repeated


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_a_graph_gives_what_single_steps_give() -> None:
    config = tiny(lipschitz="clipping")
    random = torch.Generator().manual_seed(5)
    batch = [torch.rand(size, generator=random).cuda() for size in ((8, 3, 8, 8), (8, 3, 16, 16), (8,))]
    config = config.replace(batch_size=8)
    found = []
    for graphed in (True, False):
        networks = build(config, Execution(device="cuda"))
        networks.generator.train()
        update = stepper(networks)
        for _ in range(6):
            losses = (update if graphed else partial(train_step, networks))(*batch, [config.schedule])
        found.append(losses.cpu())
    torch.testing.assert_close(*found, rtol=1e-3, atol=1e-4)
