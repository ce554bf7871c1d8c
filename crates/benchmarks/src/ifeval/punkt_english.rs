//! English parameters of our own: lists of common words, written by hand, where Punkt learns them from a text.

/// Types that keep their period inside of sentences, in lower case and without it. Words that also end sentences,
/// such as `no`, `sat` or `mass`, are left out. Single letters are initials by rule, not by list.
pub(super) const ABBREVIATIONS: &[&str] = &[
    // Titles, ranks and degrees.
    "mr mrs ms mx messrs mme mlle dr drs prof rev hon fr sr jr esq st ste sgt cpl pvt lt capt maj col cmdr adm gen brig",
    "supt insp gov sen sens rep reps pres amb atty msgr ph.d m.d d.d.s b.a m.a b.s m.s b.sc m.sc m.b.a ll.b ll.m j.d ed.d",
    // Months and days.
    "jan feb apr jun jul aug sep sept oct nov dec tue tues thu thur thurs fri",
    // Times and customary units.
    "a.m p.m a.d b.c b.c.e c.e ft lb lbs oz yd yds hr hrs mins secs yr yrs wk wks mos tsp tbsp qt pt sq cu m.p.h r.p.m",
    // Latin and what is short in texts and their references.
    "e.g i.e etc cf viz al vs v ibid ca approx n.b p.s q.v r.i.p a.k.a pp vol vols chap figs nos eqs eds repr abbr",
    "dept div avg est incl excl misc tel ext",
    // Companies and institutions.
    "inc corp co cos ltd bros assn assoc mfg mgr intl natl univ govt s.a n.v s.p.a l.l.c l.p p.o f.b.i c.i.a",
    // Streets and places.
    "ave blvd rd hwy pkwy bldg mt mts u.s u.s.a u.k u.n e.u u.s.s.r u.a.e",
    // States of the USA.
    "ala ariz calif colo conn d.c del fla ga ind kan ky l.a md mich minn mo mont neb nev n.c n.d n.h n.j n.m n.y n.y.c okla",
    "pa r.i s.c s.d tenn tex va vt w.va wis wyo",
];

/// Types that are abbreviations before a number only: `No. 7`, `p. 12`, `Fig. 3`, `Sec. 2`.
pub(super) const BEFORE_NUMBERS: &[&str] = &["app art ch cl eq fig no p para pt rm sec"];

/// Words that often open a sentence.
pub(super) const SENTENCE_STARTERS: &[&str] = &[
    "a an the this that these those there here he she it we they you i my your his her its our their",
    "and but or so yet nor if when while although though because since unless until as after before once",
    "in on at by for from with without under over during through despite among between",
    "however therefore thus hence moreover furthermore meanwhile nevertheless nonetheless instead indeed otherwise",
    "additionally also then now next finally first second third later soon still perhaps maybe overall similarly",
    "what why where how which some many most all both each every another such no yes not even just only",
];

/// Other words that have a capital at the start of a sentence only.
pub(super) const COMMON_WORDS: &[&str] = &[
    // Pronouns, quantities and connectives.
    "me him us them mine yours hers ours theirs itself himself herself themselves myself yourself someone somebody something",
    "anyone anything everyone everybody everything nobody nothing none neither either several few much more less least enough",
    "whoever whatever whenever wherever whether whereas whose whom than",
    "about above across against along around behind below beneath beside besides beyond except inside into like near off onto",
    "out outside per regarding throughout to toward towards upon up via within",
    // Auxiliaries and everyday verbs.
    "am is are was were be been being do does did done doing have has had having can could should would might must shall",
    "ask asked become began begin believe bring brought call called came choose come consider create explain feel felt",
    "find follow found gave get give given go goes going gone got help imagine include keep kept knew know known learn leave",
    "let made make makes making need needed note please put ran read remember run said saw say says see seem seems seen",
    "send sent show sit start started stay stop take taken talk tell thank thanks think thought told took tried try turn",
    "understand use used using visit wait walk walked want wanted watch went work worked write wrote",
    // Adverbs, answers and everyday adjectives.
    "accordingly actually afterwards again ago almost already alternatively always anyway apparently basically certainly clearly",
    "consequently currently eventually ever everywhere exactly far fortunately frequently generally hello hi hopefully",
    "immediately initially lastly likewise luckily mainly naturally nearly never nowadays obviously occasionally often oh ok",
    "okay originally particularly possibly presumably previously probably quickly quite rather really recently secondly seldom",
    "simply slowly somehow sometimes somewhere specifically suddenly surely sure thereafter together too typically",
    "ultimately unfortunately usually very well",
    "able bad better big different difficult easy fewer good happy important interesting large larger little numerous other",
    "others own possible ready same similar simple small smaller sorry various whole",
];
