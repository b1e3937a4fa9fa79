// Package text renders what a device shows for a reminder: a title and a body,
// in the reader's language, with the time as it is called at the moment of
// sending.
//
// # Who is authoritative
//
// The file texts.tmpl, which is built in, says how everything reads; there is no
// wording in Go but a last plain English one. An operator's file is laid over it
// and needs to hold only the blocks, and of the words of a language only the
// lines, that it changes. For a reader in de-AT the block "body" is the first
// there is of "de-AT.body", "de.body" and "body"; the parents of a tag are those
// of golang.org/x/text/language (en-AU, en-001, en). A reader whose language has
// no block gets the one that the matcher of that package holds to be understood
// (nn reads nb), else the default.
//
// Facts are the caller's: values are data and never read as a template. They are
// cleaned of white space, control characters and what is not UTF-8, so that a
// title or a body is one line, and are cut at 4 KiB, which is more than a push
// can carry; what is left to shorten is the business of the package that sends.
// Only the message of a reminder that the app wrote keeps its line breaks.
// Text that runs from right to left is passed on as it is, without isolating
// marks around a value: a body mixes scripts only when its family does.
//
// # The clock
//
// The reader's own choice counts: "h12" or "h24". Without one, a tag that brings
// its own does (en-GB-u-hc-h12); then twelve hours are for the regions that the
// words of the language list, which are those that speak English and write a.m.
// and p.m.; everybody else, and a bare "en", reads 16:00.
//
// # What happens on failure
//
// [New] finds what is wrong with a file when the program starts, all of it at
// once, each with its line and what to do. It reads every path of every block,
// taken or not, and then renders samples in every language.
//
// A template cannot hang the program or eat its memory: there are no loops, no
// functions that build one text from several, and no block that calls itself, so
// the work of one is bounded by its length, blocks it calls included, and that is
// limited; what it writes is cut at 16 KiB.
//
// What fails in spite of all that never loses a reminder: [Catalog.Render] then
// uses the built-in text of that language, and failing that plain English, and
// [Catalog.Failures] counts it and keeps the error.
//
// # Testing
//
// One table has every language in it, and is what a speaker should read. Faults
// are tested by their whole message, and the English texts against the code that
// made them before there were templates. Fuzz targets feed New arbitrary files
// and Render arbitrary facts; what New accepts must render.
package text
