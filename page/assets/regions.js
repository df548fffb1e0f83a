// Regions of the photo: what they are called, their colours, and what rules outside of them.
export const MOST_REGIONS = 6;
export const TOO_MANY = "Six regions are the most; delete one first.";

// Told apart by most people who are colour-blind: Okabe and Ito, 2008.
export const COLORS = ["#e69f00", "#56b4e9", "#009e73", "#cc79a7", "#f0e442", "#d55e00"];

export const REST = "rest"; // the paintings that rule where no region is
const RULERS = new Map([[null, "Left as it is"], [REST, "As elsewhere"]]);

const listed = new Intl.ListFormat("en", { type: "conjunction" });

// A region is ruled by the painting of a number, by those that rule elsewhere, or by none: then the
// photo is left as it is there.
export const rulerOf = ({ painting }, names) => RULERS.get(painting) ?? names[painting];

// The numbers of the paintings that rule outside of the regions: those without one, or where each
// has one, all.
export const freePaintings = (regions, count) => {
    const all = Array.from({ length: count }, (_, number) => number);
    const free = all.filter((number) => !regions.some(({ painting }) => painting === number));
    return free.length ? free : all;
};

export const elsewhere = (regions, names) => {
    const ruling = new Set(freePaintings(regions, names.length).map((number) => names[number]));
    const how = ruling.size > 1 ? ", by their weights" : "";
    return `Everywhere else: ${listed.format(ruling)}${how}.`;
};

// The regions that a painting rules, in words.
export const regionsOf = (regions, painting) =>
    listed.format(
        regions.flatMap((region, at) => region.painting === painting ? [`Region ${at + 1}`] : []),
    );

export const firstFree = (regions) => {
    const taken = new Set(regions.map(({ color }) => color));
    return COLORS.findIndex((_, color) => !taken.has(color));
};
