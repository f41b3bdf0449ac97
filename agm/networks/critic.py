"""The critic (discriminator). The paper gives no architecture: this is DCGAN's [20], for any even image size."""

from __future__ import annotations

from torch import Tensor, nn

from agm.config import TrainingConfig
from agm.networks.blocks import LEAK


class Critic(nn.Module):
    """Scores images: (N, 3, H, W) -> (N,). Halves them until at most 4 pixels are left, doubling the channels."""

    def __init__(self, config: TrainingConfig, image_size: int) -> None:
        super().__init__()
        # Batch norm would make one image's gradient depend on the others', which a gradient penalty must not see.
        normalised = config.lipschitz != "penalty"
        blocks: list[nn.Module] = []
        inputs, outputs, size = 3, config.critic_width, image_size
        while size > 4:
            # The first layer is not normalised, as in DCGAN; a bias before a batch norm would be lost in it.
            with_norm = normalised and inputs != 3
            blocks.append(nn.Conv2d(inputs, outputs, 4, stride=2, padding=1, bias=not with_norm))
            if with_norm:
                blocks.append(nn.BatchNorm2d(outputs))
            blocks.append(nn.LeakyReLU(LEAK))
            inputs, outputs, size = outputs, 2 * outputs, size // 2
        blocks += [nn.Flatten(), nn.Linear(inputs * size * size, 1)]
        if config.critic_output == "sigmoid":
            blocks.append(nn.Sigmoid())
        self.network = nn.Sequential(*blocks)

    def forward(self, images: Tensor) -> Tensor:
        scores: Tensor = self.network(images)
        return scores.squeeze(1)  # (N, 1) -> (N,)


def clip_weights(critic: nn.Module, limit: float) -> None:
    """WGAN's weight clipping: convolutions and linear layers only, or clipped norm scales would mute the critic."""
    for module in critic.modules():
        if isinstance(module, nn.Conv2d | nn.Linear):
            for parameter in module.parameters(recurse=False):
                parameter.data.clamp_(-limit, limit)
