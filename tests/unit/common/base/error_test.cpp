#include "common/base/error.hpp"

#include <boost/asio/error.hpp>
#include <boost/system/system_error.hpp>
#include <gtest/gtest.h>

#include <cerrno>
#include <new>
#include <stdexcept>

namespace cppvm {
namespace {

template <class F>
Status status_of(F function) {
    try {
        function();
    } catch (...) {
        return to_status(std::current_exception());
    }
    return {};
}

TEST(ErrorTest, NamesOperationObjectAndCauseOfAFailedSystemCall) {
    const Status status = status_of([] { throw_errno("mount", "/a", EINVAL); });
    EXPECT_EQ(status, (Status{Code::unknown, "mount /a: Invalid argument"}));
}

TEST(ErrorTest, DerivesOnlyHarmlessCodesFromErrno) {
    EXPECT_EQ(code_of_errno(EACCES), Code::permission_denied);
    EXPECT_EQ(code_of_errno(ENOSPC), Code::resource_exhausted);
    EXPECT_EQ(code_of_errno(ECONNREFUSED), Code::unavailable);
    EXPECT_EQ(code_of_errno(ENOENT), Code::unknown); // never not_found: see the class comment
    EXPECT_EQ(code_of_errno(EEXIST), Code::unknown);
}

TEST(ErrorTest, MapsForeignExceptions) {
    EXPECT_EQ(status_of([] { throw std::bad_alloc(); }).code, Code::resource_exhausted);
    EXPECT_EQ(status_of([] { throw std::runtime_error("x"); }), (Status{Code::unknown, "x"}));
    EXPECT_EQ(
        status_of([] { throw boost::system::system_error(boost::asio::error::operation_aborted); }
        ).code,
        Code::cancelled
    );
    EXPECT_EQ(
        status_of([] { throw boost::system::system_error(boost::asio::error::connection_refused); }
        ).code,
        Code::unavailable
    );
    EXPECT_EQ(status_of([] { throw 3; }).code, Code::unknown);
}

TEST(ErrorTest, AddsContextAndKeepsCodeAndCause) {
    try {
        try {
            throw_errno("open", "/a", EACCES);
        } catch (...) {
            rethrow_with_context("start sandbox s1");
        }
    } catch (const Error& error) {
        EXPECT_EQ(error.message(), "start sandbox s1: open /a: Permission denied");
        EXPECT_EQ(error.code(), Code::permission_denied);
        EXPECT_EQ(error.cause().value(), EACCES);
        return;
    }
    FAIL();
}

} // namespace
} // namespace cppvm
