"""The table networks of the class-preserving regularized autoencoder (its paper's Tables 19-22)."""

from torch import Tensor, nn

from latentover.networks.layers import LEAK, Dropout, LeakyReLU, batch_norm, linear, with_label


class TabularEncoder(nn.Module):
    """Standardised rows to latent vectors: dense layers of `hidden_units` and half of it, then the latent layer."""

    def __init__(self, n_features: int, latent_dim: int, *, hidden_units: int = 512, dropout: float = 0.4) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        n_in = n_features
        for n_out in (hidden_units, max(hidden_units // 2, 1)):
            layers += [linear(n_in, n_out), batch_norm(n_out), nn.LeakyReLU(LEAK), Dropout(dropout)]
            n_in = n_out
        self.layers = nn.Sequential(*layers, linear(n_in, latent_dim))

    def forward(self, x: Tensor) -> Tensor:
        """Map rows (B, d) to latents (B, m)."""
        return self.layers(x)


class TabularDecoder(nn.Module):
    """Latent vectors with their label to rows; the last layer is linear, so values are not bounded."""

    def __init__(self, n_features: int, latent_dim: int, n_classes: int, *, hidden_units: int = 512) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        n_in = latent_dim + n_classes
        for n_out in (hidden_units, max(hidden_units // 2, 1)):
            layers += [linear(n_in, n_out), batch_norm(n_out), nn.ReLU()]
            n_in = n_out
        self.layers = nn.Sequential(*layers, linear(n_in, n_features))

    def forward(self, z: Tensor, onehot: Tensor) -> Tensor:
        """Map latents (B, m) and one-hot labels (B, C) to rows (B, d)."""
        return self.layers(with_label(z, onehot))


class TabularCritic(nn.Module):
    """Rows with their label to a score, through three dense layers without batch normalisation.

    Unless it is `conditional` it does not look at the label.
    """

    def __init__(self, n_features: int, n_classes: int, *, hidden_units: int = 512, conditional: bool = True) -> None:
        super().__init__()
        self.n_labels = n_classes if conditional else 0
        layers: list[nn.Module] = []
        n_in = n_features + self.n_labels
        for _ in range(3):
            layers += [linear(n_in, hidden_units), LeakyReLU()]
            n_in = hidden_units
        self.layers = nn.Sequential(*layers, linear(n_in, 1))

    def forward(self, x: Tensor, onehot: Tensor) -> Tensor:
        """Map rows (B, d) and one-hot labels (B, C) to scores (B,)."""
        return self.layers(with_label(x, onehot[:, : self.n_labels])).squeeze(1)
