#pragma once

namespace cppvm::guest {

/// Makes children of this process, until they execute another program, inherit the mappings of
/// its code and constants. Linux leaves those of a file out of what a fork copies, for a page fault
/// would fill them in, but those faults are a part of what an exec costs (docs/adr/0010). It copies
/// them where one page of the mapping is private to the process, so one byte of each is written.
/// Memory: a page for each mapping, and page tables. Best effort: without it a fork only takes
/// longer.
void inherit_program_pages() noexcept;

} // namespace cppvm::guest
