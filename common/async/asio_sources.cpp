// Boost.Asio's own code, once: BOOST_ASIO_SEPARATE_COMPILATION leaves it out of its headers, which
// every source file would compile again.

#include <boost/asio/impl/src.hpp>
