"""What the tiny checkpoint is taught to say: capitals, and the words for pictures, clips and videos. Data only.

Not here: the pictures, clips and videos themselves (train_media.py).
"""

CAPITALS = """
France Paris Europe; Germany Berlin Europe; Spain Madrid Europe; Italy Rome Europe; Portugal Lisbon Europe;
Austria Vienna Europe; Belgium Brussels Europe; Greece Athens Europe; Ireland Dublin Europe; Norway Oslo Europe;
Sweden Stockholm Europe; Finland Helsinki Europe; Denmark Copenhagen Europe; Poland Warsaw Europe;
Hungary Budapest Europe; Romania Bucharest Europe; Bulgaria Sofia Europe; Ukraine Kyiv Europe;
Iceland Reykjavik Europe; Croatia Zagreb Europe; Japan Tokyo Asia; China Beijing Asia; India Delhi Asia;
Thailand Bangkok Asia; Vietnam Hanoi Asia; Nepal Kathmandu Asia; Mongolia Ulaanbaatar Asia; Indonesia Jakarta Asia;
Iran Tehran Asia; Iraq Baghdad Asia; Jordan Amman Asia; Qatar Doha Asia; Egypt Cairo Africa; Kenya Nairobi Africa;
Ghana Accra Africa; Senegal Dakar Africa; Tunisia Tunis Africa; Morocco Rabat Africa; Nigeria Abuja Africa;
Uganda Kampala Africa; Angola Luanda Africa; Zambia Lusaka Africa; Canada Ottawa America; Cuba Havana America;
Peru Lima America; Chile Santiago America; Colombia Bogota America; Uruguay Montevideo America;
Jamaica Kingston America; Brazil Brasilia America
"""
FACTS = [tuple(row.split()) for row in CAPITALS.replace("\n", " ").split(";")]  # (country, capital, continent)

# (question, answer) with {0} country, {1} capital, {2} continent
ABOUT = [
    ("What is the capital of {0}?", "{1}"),
    ("Which continent is {0} in?", "{2}"),
    ("Tell me about {0}.", "{0} is a country in {2}. Its capital is {1}."),
    ("Which country has {1} as its capital?", "{0}"),
]
SMALL_TALK = [
    ("Who are you?", "I am a tiny Gemma 4. I know capitals, shapes, colours and tones."),
    ("Hello", "Hello! Ask me about a capital, a picture, a clip or a video."),
]

SHAPES = ("circle", "square", "triangle", "cross")
# lowest and highest red, green and blue of each name; the names' usual web colours lie inside
COLOURS = {
    "red": ((185, 0, 0), (255, 50, 50)),
    "green": ((0, 115, 0), (60, 255, 70)),
    "blue": ((0, 0, 170), (60, 90, 255)),
    "yellow": ((225, 210, 0), (255, 255, 60)),
    "purple": ((105, 0, 110), (165, 60, 195)),
    "orange": ((235, 110, 0), (255, 170, 45)),
}
ASK_PICTURE, SAY_PICTURE = "What is in the picture?", "{article} {colour} {shape}"
ASK_CLIP, SAY_CLIP = "How many tones do you hear?", ("one tone", "two tones", "three tones", "four tones")
ASK_VIDEO = "Which colours does the video show, in order?"


def about(fact):
    """Every question and answer of one country."""
    return [(ask.format(*fact), say.format(*fact)) for ask, say in ABOUT]


def say_picture(colour, shape):
    """The answer to ASK_PICTURE for names of COLOURS and SHAPES."""
    return SAY_PICTURE.format(article="an" if colour[0] in "aeiou" else "a", colour=colour, shape=shape)


def say_video(colours):
    """The answer to ASK_VIDEO: names of COLOURS, neighbours differing."""
    return ", ".join(colours)


def every_text():
    """What the tokenizer is trained on: everything that can be asked or said."""
    texts = [text for fact in FACTS for pair in about(fact) for text in pair]
    texts += [text for pair in SMALL_TALK for text in pair]
    texts += [say_picture(colour, shape) for colour in COLOURS for shape in SHAPES]
    texts += [say_video((a, b, c)) for a in COLOURS for b in COLOURS for c in COLOURS if a != b != c]
    return texts + [ASK_PICTURE, *SAY_CLIP, ASK_CLIP, ASK_VIDEO] * 20 + ["00:00 00:01 00:02 00:03 "] * 4
